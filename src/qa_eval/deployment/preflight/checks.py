"""The checks, in the order in which the account is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Final

from qa_eval.deployment.preflight import caller, domain, images, models, names, network, quotas
from qa_eval.deployment.preflight.account import Account, NotAnswered, NotSignedIn
from qa_eval.deployment.preflight.findings import CheckResult, PreflightFinding

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

Check = Callable[["QaEvalSettings", Account], Iterator[PreflightFinding]]

BOOTSTRAP: Final = "bootstrap"
CHECKS: Final[dict[str, Check]] = {
    "caller": caller.identity,
    BOOTSTRAP: caller.bootstrap,
    "stacks": names.stacks,
    "names": names.names,
    "zones": network.zones,
    "lambda-quota": quotas.functions,
    "fargate-quota": quotas.fargate,
    "vpc-quota": quotas.vpcs,
    "address-quota": quotas.addresses,
    "anthropic-form": models.form,
    "model-access": models.access,
    "inference-profiles": models.profiles,
    "model-lifecycle": models.lifecycle,
    "images": images.images,
}
DOMAIN_CHECKS: Final[dict[str, Check]] = {
    "hosted-zone": domain.zone,
    "dns-records": domain.records,
    "cloudfront-alias": domain.alias,
}
"""The checks of a deployment with a domain, besides the others."""


def run_checks(settings: QaEvalSettings, account: Account, without: Collection[str] = ()) -> Iterator[CheckResult]:
    """Run the checks; a question that AWS denies is a finding.

    Args:
        settings: The settings of the deployment.
        account: The account.
        without: Names of checks to leave out.

    Raises:
        DeploymentError: There are no credentials, or AWS cannot be reached.
    """
    for name, check in (CHECKS | DOMAIN_CHECKS if settings.domain else CHECKS).items():
        if name in without:
            continue
        try:
            yield CheckResult(name, tuple(_collect(check, settings, account)))
        except NotSignedIn as error:
            yield CheckResult(name, (PreflightFinding(str(error)),))
            return


def _collect(check: Check, settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    try:
        yield from check(settings, account)
    except NotAnswered as error:
        yield PreflightFinding(str(error), "unchecked")
