"""The hosted zone, its records, and the domain's other distributions."""

from __future__ import annotations

from typing import Any

import pytest
from stubbed_account import THEN, Refusal, StubbedAccount, listing

DOMAIN = ("domain=qa.example.org", "hosted_zone_id=Z0123456789")


def zone(name: str, *, private: bool = False) -> dict[str, Any]:
    made = {"Id": "/hostedzone/Z0123456789", "Name": name, "CallerReference": "x", "Config": {"PrivateZone": private}}
    return {"HostedZone": made}


@pytest.mark.parametrize("name", ["qa.example.org.", "example.org."])
def test_the_zone_of_the_domain_or_above_it(account: StubbedAccount, find: Any, name: str) -> None:
    account.answers["route53:GetHostedZone"] = zone(name)
    assert find("hosted-zone", *DOMAIN) == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Refusal("NoSuchHostedZone"), "The account has no hosted zone Z0123456789: correct `hosted_zone_id` ("),
        (zone("example.org.", private=True), "The hosted zone Z0123456789 is private: give the public zone of qa."),
        (zone("a.example.org."), "The hosted zone Z0123456789 is that of a.example.org: give the zone of qa.example"),
        (zone("ple.org."), "The hosted zone Z0123456789 is that of ple.org: give the zone of qa.example.org or of a"),
    ],
)
def test_a_zone_that_does_not_fit(account: StubbedAccount, find: Any, answer: Any, sentence: str) -> None:
    account.answers["route53:GetHostedZone"] = answer
    ((kind, found),) = find("hosted-zone", *DOMAIN)
    assert kind == "fails"
    assert found.startswith(sentence)


def records(*pairs: tuple[str, str]) -> dict[str, Any]:
    listed = [{"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": "x"}]} for name, kind in pairs]
    return {"ResourceRecordSets": listed, "IsTruncated": False, "MaxItems": "100"}


def test_records_of_somebody_else_at_the_domain(account: StubbedAccount, find: Any) -> None:
    apex = records(("qa.example.org.", "NS"), ("qa.example.org.", "SOA"), ("r.example.org.", "A"))
    account.answers["route53:ListResourceRecordSets"] = apex
    assert find("dns-records", *DOMAIN) == []
    account.answers["route53:ListResourceRecordSets"] = records(("qa.example.org.", "AAAA"), ("qa.example.org.", "A"))
    sentence = "The hosted zone already has records at qa.example.org (A, AAAA): delete them, or use another `domain`."
    assert find("dns-records", *DOMAIN) == [("fails", sentence)]
    account.deployed(Route53_RecordSet="qa.example.org")
    assert find("dns-records", *DOMAIN) == []


def test_the_records_are_read_from_the_domain_on(account: StubbedAccount, find: Any) -> None:
    find("dns-records", *DOMAIN)
    (asked,) = [asked for action, _, asked in account.asked if action == "route53:ListResourceRecordSets"]
    assert asked["HostedZoneId"] == "Z0123456789"
    assert asked["StartRecordName"] == "qa.example.org"


def distribution(id: str, *aliases: str) -> dict[str, Any]:
    none: dict[str, Any] = {"Quantity": 0}
    return {
        "Id": id,
        "ARN": f"arn:aws:cloudfront::123456789012:distribution/{id}",
        "Status": "Deployed",
        "LastModifiedTime": THEN,
        "DomainName": "d1.cloudfront.net",
        "Aliases": {"Quantity": len(aliases), "Items": list(aliases)} if aliases else none,
        "Origins": {"Quantity": 0, "Items": [{"Id": "o", "DomainName": "example.org"}]},
        "DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "https-only"},
        "CacheBehaviors": none,
        "CustomErrorResponses": none,
        "Comment": "",
        "PriceClass": "PriceClass_All",
        "Enabled": True,
        "ViewerCertificate": {},
        "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
        "WebACLId": "",
        "HttpVersion": "http2",
        "IsIPV6Enabled": True,
        "Staging": False,
    }


def test_another_distribution_with_the_domain(account: StubbedAccount, find: Any) -> None:
    others = [distribution("E1"), distribution("E2", "example.org", "qa.example.org")]
    account.answers["cloudfront:ListDistributions"] = listing(DistributionList=others[:1])
    assert find("cloudfront-alias", *DOMAIN) == []
    account.answers["cloudfront:ListDistributions"] = listing(DistributionList=others)
    ((kind, sentence),) = find("cloudfront-alias", *DOMAIN)
    assert kind == "fails"
    assert sentence.startswith("The CloudFront distribution E2 already has the domain qa.example.org: remove it there")
    account.deployed(CloudFront_Distribution="E2")
    assert find("cloudfront-alias", *DOMAIN) == []
