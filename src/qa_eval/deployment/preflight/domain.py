"""Whether the domain's hosted zone is the right one, and its name is free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from qa_eval.deployment.preflight.account import Account
from qa_eval.deployment.preflight.findings import PreflightFinding

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

_ADDRESSES: Final = frozenset({"A", "AAAA", "CNAME"})
"""Types of records that cannot stand beside those of the stack."""
_NO_ZONE: Final = ("NoSuchHostedZone",)


def zone(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """The hosted zone exists, is public, and has the domain."""
    if settings.domain is None:
        return
    answer = account.ask("route53", "get_hosted_zone", missing=_NO_ZONE, Id=settings.hosted_zone_id)
    if not answer:
        yield PreflightFinding(
            f"The account has no hosted zone {settings.hosted_zone_id}: correct `hosted_zone_id` "
            "(`aws route53 list-hosted-zones`)."
        )
        return
    found = answer["HostedZone"]
    name = found["Name"].rstrip(".")
    if found.get("Config", {}).get("PrivateZone"):
        yield PreflightFinding(
            f"The hosted zone {settings.hosted_zone_id} is private: give the public zone of {settings.domain}."
        )
    if settings.domain != name and not settings.domain.endswith(f".{name}"):
        yield PreflightFinding(
            f"The hosted zone {settings.hosted_zone_id} is that of {name}: give the zone of {settings.domain} or of "
            "a domain above it."
        )


def records(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """No record of somebody else has the domain's name."""
    if settings.domain is None or settings.domain in {
        name.rstrip(".") for name in account.owned("AWS::Route53::RecordSet")
    }:
        return
    # Records are sorted by name, and a name has few of them.
    answer = account.ask(
        "route53",
        "list_resource_record_sets",
        missing=_NO_ZONE,
        HostedZoneId=settings.hosted_zone_id,
        StartRecordName=settings.domain,
        PaginationConfig={"MaxItems": 100},
    )
    types = sorted(
        {
            each["Type"]
            for each in answer.get("ResourceRecordSets", [])
            if each["Name"].rstrip(".") == settings.domain and each["Type"] in _ADDRESSES
        }
    )
    if types:
        yield PreflightFinding(
            f"The hosted zone already has records at {settings.domain} ({', '.join(types)}): delete them, or use "
            "another `domain`."
        )


def alias(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """No other distribution of the account has the domain; those of other accounts cannot be seen."""
    if settings.domain is None:
        return
    listed = account.ask("cloudfront", "list_distributions").get("DistributionList", {}).get("Items", [])
    own = account.owned("AWS::CloudFront::Distribution")
    for each in listed:
        if settings.domain in each["Aliases"].get("Items", []) and each["Id"] not in own:
            yield PreflightFinding(
                f"The CloudFront distribution {each['Id']} already has the domain {settings.domain}: remove it there, "
                "or use another `domain`."
            )
