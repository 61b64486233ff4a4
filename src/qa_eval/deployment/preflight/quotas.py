"""Whether the account's quotas have room for the platform; what its stack already uses needs none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from qa_eval.deployment.preflight.account import Account, NotAnswered
from qa_eval.deployment.preflight.findings import PreflightFinding

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

_CPU_UNITS: Final = 1024
"""CPU units of one vCPU."""
_HELPERS: Final = 3
"""Helper functions, which can run at the same time: prefix list, migration, readiness."""


@dataclass(frozen=True)
class _Quota:
    """A quota of Service Quotas."""

    what: str
    service: str
    code: str

    def shortage(self, region: str, needed: float, free: float, allowed: float) -> Iterator[PreflightFinding]:
        """A finding if less is free than needed."""
        if free < needed:
            yield PreflightFinding(
                f"{self.what}: {needed:g} needed in {region}, and {max(free, 0):g} of {allowed:g} free: delete unused "
                f"ones, or request a higher quota (Service Quotas: {self.service}, {self.code})."
            )


FUNCTIONS: Final = _Quota("Concurrent Lambda functions", "lambda", "L-B99A9384")
FARGATE: Final = _Quota("Fargate vCPUs", "fargate", "L-3032A538")
VPCS: Final = _Quota("VPCs", "vpc", "L-F678F1CE")
ADDRESSES: Final = _Quota("Elastic IP addresses", "ec2", "L-0263D0A3")


def functions(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """Each of our functions can run once; a chatbot with more conversations at a time needs more."""
    limit = account.ask("lambda", "get_account_settings")["AccountLimit"]
    needed = _HELPERS + settings.chatbot
    free, allowed = limit["UnreservedConcurrentExecutions"], limit["ConcurrentExecutions"]
    yield from FUNCTIONS.shortage(settings.region, needed, free, allowed)


def fargate(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """The tasks can start; an update starts the new ones beside the old."""
    quota = _read(account, FARGATE)
    tasks = settings.gateway_tasks_min * settings.gateway_cpu + settings.phoenix_cpu
    deployed = bool(account.owned("AWS::ECS::Service"))
    needed = tasks / _CPU_UNITS * (2 if deployed else 1)
    used = 0.0 if deployed else _used(account, quota)
    yield from FARGATE.shortage(settings.region, needed, quota["Value"] - used, quota["Value"])


def vpcs(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """There is room for one more VPC, unless the stack has its own."""
    if account.owned("AWS::EC2::VPC"):
        return
    allowed = _read(account, VPCS)["Value"]
    used = len(account.ask("ec2", "describe_vpcs")["Vpcs"])
    yield from VPCS.shortage(settings.region, 1, allowed - used, allowed)


def addresses(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """There is room for the address of each NAT gateway that the stack does not have yet."""
    wanted = settings.nat_gateways if settings.egress == "nat" else 0
    needed = wanted - len(account.owned("AWS::EC2::EIP"))
    if needed <= 0:
        return
    allowed = _read(account, ADDRESSES)["Value"]
    used = len(account.ask("ec2", "describe_addresses")["Addresses"])
    yield from ADDRESSES.shortage(settings.region, needed, allowed - used, allowed)


def _read(account: Account, quota: _Quota) -> dict[str, Any]:
    """The account's quota, or AWS's default where the account has none of its own."""
    key = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    answer = account.ask("service-quotas", "get_service_quota", missing=("NoSuchResourceException",), **key)
    found: dict[str, Any] = (answer or account.ask("service-quotas", "get_aws_default_service_quota", **key))["Quota"]
    if "Value" not in found:
        reason = found.get("ErrorReason", {}).get("ErrorCode", "no value")
        raise NotAnswered(f"Service Quotas does not know the quota of {quota.what} ({reason}): look it up there.")
    return found


def _used(account: Account, quota: dict[str, Any]) -> float:
    """The use of a quota in the last hour, if the service reports it."""
    metric = quota.get("UsageMetric")
    if not metric:
        return 0
    now = datetime.now(UTC)
    answer = account.ask(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=metric["MetricNamespace"],
        MetricName=metric["MetricName"],
        Dimensions=[{"Name": name, "Value": value} for name, value in metric["MetricDimensions"].items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else 0
