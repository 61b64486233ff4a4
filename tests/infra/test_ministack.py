"""The real CDK command against ministack: bootstrap, deploy, diff and destroy, and what boto3 then finds.

ministack is no AWS: it takes what AWS may refuse, and it does not know every type (`UNKNOWN` in tests/support). What
is shown here is that the command is called rightly, that the stacks deploy in their order with their assets, and that
the library finds a deployed stack.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import ministack
import pytest

from qa_eval.aws import deployed
from qa_eval.blueprint import outputs
from qa_eval.deployment import cdk
from qa_eval_infra.app import synth
from qa_eval_infra.settings import load_settings

ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Account:
    """The emulated account with the platform in it."""

    url: str
    assembly: Path
    taken_out: set[str]

    def client(self, service: str) -> Any:
        return boto3.client(service)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    with ministack.ministack(folder / "ministack") as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("HOME", str(folder))
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers credentials
        patch.setenv("QA_EVAL_CDK", ministack.cdk_command())
        zone = boto3.client("route53").create_hosted_zone(Name="qa.example.org", CallerReference="test")["HostedZone"]
        flags = ["domain=qa.example.org", f"hosted_zone_id={zone['Id'].rpartition('/')[2]}", "load_balancer=public"]
        assembly = synth(load_settings(assignments=[*flags, "deletion_protection=false"]), folder / "assembly")
        taken_out = ministack.take_out_unknown(assembly)
        cdk.call(["bootstrap", f"aws://{ACCOUNT}/us-east-1"], "bootstrap")
        cdk.run("deploy", assembly, ["--require-approval", "never"])
        yield Account(url, assembly, taken_out)


def test_only_what_is_listed_was_taken_out(account: Account) -> None:
    assert account.taken_out - {"AWS::CloudWatch::Alarm"} == set(ministack.UNKNOWN) - {
        "AWS::Budgets::Budget",
        "AWS::CloudFront::VpcOrigin",
        "AWS::SNS::Subscription",
    }, "the three are of other settings than these"


def test_both_stacks_are_complete(account: Account) -> None:
    stacks = account.client("cloudformation").describe_stacks()["Stacks"]
    assert {each["StackName"]: each["StackStatus"] for each in stacks} == {
        "CDKToolkit": "CREATE_COMPLETE",
        "qa-eval-edge": "CREATE_COMPLETE",
        "qa-eval": "CREATE_COMPLETE",
    }


def test_the_listener_rules_are_there_with_their_transform(account: Account) -> None:
    elb = account.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = {each["Priority"]: each for each in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]}
    assert rules.keys() == {"100", "200", "default"}
    (path, _) = rules["100"]["Conditions"]
    assert path["Values"] == ["/phoenix", "/phoenix/*"] or path["PathPatternConfig"]["Values"] == [
        "/phoenix",
        "/phoenix/*",
    ]
    assert "^/phoenix/?(.*)$" in json.dumps(rules["100"]["Transforms"])


def test_distribution_record_secrets_and_tasks_are_there(account: Account) -> None:
    (distribution,) = account.client("cloudfront").list_distributions()["DistributionList"]["Items"]
    assert distribution["Aliases"]["Items"] == ["qa.example.org"]
    route53 = account.client("route53")
    (zone,) = route53.list_hosted_zones()["HostedZones"]
    records = route53.list_resource_record_sets(HostedZoneId=zone["Id"])["ResourceRecordSets"]
    aliases = {each["Type"]: each["AliasTarget"]["DNSName"] for each in records if "AliasTarget" in each}
    assert aliases.keys() == {"A", "AAAA"}
    assert {name.rstrip(".") for name in aliases.values()} == {distribution["DomainName"]}
    secrets = account.client("secretsmanager").list_secrets(MaxResults=100)["SecretList"]
    assert len(secrets) >= 10
    definitions = account.client("ecs").list_task_definitions()["taskDefinitionArns"]
    assert len(definitions) == 3


def test_the_library_finds_the_stack_and_its_keys(account: Account, capfd: pytest.CaptureFixture[str]) -> None:
    found = deployed.find("qa-eval")
    assert found.gateway_url == "https://qa.example.org"
    assert found.phoenix_url == "https://qa.example.org/phoenix"
    assert len(found.gateway_key) == len(found.phoenix_key) == 43
    shown = capfd.readouterr()
    for key in (found.gateway_key, found.phoenix_key):
        assert key not in repr(found) + str(deployed.platform_outputs("qa-eval")) + shown.out + shown.err
    assert deployed.platform_outputs("qa-eval")[outputs.GUARDRAIL_ID] == "unknown", "ministack knows no guardrail"


def test_a_second_look_finds_no_difference_and_destroy_leaves_what_it_says(
    account: Account, capfd: pytest.CaptureFixture[str]
) -> None:
    cdk.run("diff", account.assembly)
    said = "".join(capfd.readouterr())
    assert "Number of stacks with differences: 0" in said
    kept = cdk.retained(account.assembly)
    assert {each.type for each in kept} == {"AWS::S3::Bucket", "AWS::RDS::DBCluster"}
    cdk.run("destroy", account.assembly, ["--force"])
    left = account.client("cloudformation").describe_stacks()["Stacks"]
    assert {each["StackName"] for each in left if each["StackStatus"] != "DELETE_COMPLETE"} == {"CDKToolkit"}
    assert any("accesslogs" in each["Name"].lower() for each in account.client("s3").list_buckets()["Buckets"])
