"""Whether the account has the availability zones of the deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qa_eval.deployment.preflight.account import Account
from qa_eval.deployment.preflight.findings import PreflightFinding

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings


def zones(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """Both zones exist in the account and accept new resources."""
    from qa_eval_infra.zones import ZONES

    found = account.ask("ec2", "describe_availability_zones")["AvailabilityZones"]
    states = {zone["ZoneId"]: zone["State"] for zone in found}
    for zone in ZONES[settings.region]:
        state = states.get(zone)
        if state is None:
            yield PreflightFinding(f"The account has no zone {zone}: use another `region`, or another account.")
        elif state in ("unavailable", "constrained"):
            yield PreflightFinding(f"The zone {zone} is {state}: wait, or use another `region`.")
