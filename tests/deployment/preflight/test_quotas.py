"""Quotas with and without room, before the first deployment and after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from stubbed_account import THEN, USAGE, Answer, Refusal, StubbedAccount


def quota(value: float | None, **more: Any) -> Answer:
    return {"Quota": {**({} if value is None else {"Value": value}), **more}}


@pytest.mark.parametrize(("free", "fits"), [(3, False), (4, True)])
def test_functions(account: StubbedAccount, find: Any, free: int, fits: bool) -> None:
    limits = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": free}
    account.answers["lambda:GetAccountSettings"] = {"AccountLimit": limits}
    found = find("lambda-quota")
    assert found == (
        []
        if fits
        else [
            (
                "fails",
                "Concurrent Lambda functions: 4 needed in us-east-1, and 3 of 10 free: delete unused ones, or request "
                "a higher quota (Service Quotas: lambda, L-B99A9384).",
            )
        ]
    )
    assert find("lambda-quota", "chatbot=false") == []


def test_fargate_counts_what_other_tasks_use_now(account: StubbedAccount, find: Any) -> None:
    points = [{"Timestamp": THEN + timedelta(minutes=5 * place), "Maximum": used} for place, used in ((1, 5.0), (0, 1))]
    account.answers["cloudwatch:GetMetricStatistics"] = {"Datapoints": points}
    ((kind, sentence),) = find("fargate-quota")
    assert kind == "fails"
    assert sentence.startswith("Fargate vCPUs: 1.5 needed in us-east-1, and 1 of 6 free: delete unused ones, or")
    (asked,) = [asked for action, _, asked in account.asked if action == "cloudwatch:GetMetricStatistics"]
    assert {each["Name"]: each["Value"] for each in asked["Dimensions"]} == USAGE["MetricDimensions"]
    account.answers["cloudwatch:GetMetricStatistics"] = {"Datapoints": points[1:]}
    assert find("fargate-quota") == []


def test_fargate_without_a_usage_metric(account: StubbedAccount, find: Any) -> None:
    account.answers["servicequotas:GetServiceQuota"] = quota(1.5)
    assert find("fargate-quota") == []
    assert "cloudwatch:GetMetricStatistics" not in {action for action, _, _ in account.asked}


def test_an_update_needs_room_for_the_new_tasks_beside_the_old(account: StubbedAccount, find: Any) -> None:
    account.deployed(ECS_Service="arn:service")
    account.answers["cloudwatch:GetMetricStatistics"] = {"Datapoints": [{"Timestamp": THEN, "Maximum": 6.0}]}
    assert find("fargate-quota") == [], "its own tasks do not count"
    ((_, sentence),) = find("fargate-quota", "gateway_tasks_min=3")
    assert sentence.startswith("Fargate vCPUs: 7 needed in us-east-1, and 6 of 6 free")


def test_vpcs(account: StubbedAccount, find: Any) -> None:
    account.answers["ec2:DescribeVpcs"] = {"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(5)]}
    ((kind, sentence),) = find("vpc-quota")
    assert kind == "fails"
    assert sentence.startswith("VPCs: 1 needed in us-east-1, and 0 of 5 free: delete unused ones")
    account.deployed(EC2_VPC="vpc-4")
    assert find("vpc-quota") == []


def test_addresses(account: StubbedAccount, find: Any) -> None:
    account.answers["ec2:DescribeAddresses"] = {"Addresses": [{"PublicIp": f"192.0.2.{n}"} for n in range(4)]}
    assert find("address-quota") == []
    two = "nat_gateways=2"
    ((kind, sentence),) = find("address-quota", two)
    assert kind == "fails"
    assert sentence.startswith("Elastic IP addresses: 2 needed in us-east-1, and 1 of 5 free")
    assert find("address-quota", two, "egress=public") == [], "without NAT there are none"
    account.deployed(EC2_EIP="192.0.2.0")
    assert find("address-quota", two) == [], "one of them is the stack's"


def test_a_resource_that_was_deleted_is_not_the_stacks(account: StubbedAccount, find: Any) -> None:
    account.deployed(EC2_VPC="vpc-4")
    listed: Any = account.answers["cloudformation:ListStackResources"]
    listed["StackResourceSummaries"][0]["ResourceStatus"] = "DELETE_COMPLETE"
    account.answers["ec2:DescribeVpcs"] = {"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(5)]}
    assert len(find("vpc-quota")) == 1


def test_a_quota_without_a_value_could_not_be_checked(account: StubbedAccount, find: Any) -> None:
    account.answers["servicequotas:GetServiceQuota"] = Refusal("NoSuchResourceException")
    account.answers["servicequotas:GetAWSDefaultServiceQuota"] = quota(
        None, ErrorReason={"ErrorCode": "DEPENDENCY_ACCESS_DENIED_ERROR"}
    )
    sentence = "Service Quotas does not know the quota of VPCs (DEPENDENCY_ACCESS_DENIED_ERROR): look it up there."
    assert find("vpc-quota") == [("unchecked", sentence)]


def test_all_pages_of_a_list_count(account: StubbedAccount, find: Any) -> None:
    def page(asked: dict[str, Any], region: str) -> Answer:
        first = [{"VpcId": f"vpc-{n}"} for n in range(3)]
        return {"Vpcs": first[:2]} if "NextToken" in asked else {"Vpcs": first, "NextToken": "more"}

    account.answers["ec2:DescribeVpcs"] = page
    assert len(find("vpc-quota")) == 1
