"""An AWS account whose answers are written down beforehand, at the SDK's network edge.

botocore validates every question against the service's model, and its Stubber every answer. Without changes it is a
fresh account in which a deployment would work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import boto3
from botocore import xform_name
from botocore.stub import Stubber

from qa_eval.blueprint import outputs
from qa_eval.deployment.preflight.permissions import permission

ARN = "arn:aws:sts::123456789012:assumed-role/admin/me"
THEN = datetime(2026, 11, 27, tzinfo=UTC)


@dataclass(frozen=True)
class Refusal:
    """An error of a service."""

    code: str
    message: str = "Refused."


Answer = dict[str, Any] | Refusal | Exception
Answers = Answer | Callable[[dict[str, Any], str], Answer]
"""An answer, or a function from a question's parameters and region to one."""

NO_STACK = Refusal("ValidationError", "Stack with id qa-eval does not exist")
AVAILABLE = {
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}
USAGE = {
    "MetricNamespace": "AWS/Usage",
    "MetricName": "ResourceCount",
    "MetricDimensions": {"Service": "Fargate", "Resource": "vCPU", "Type": "Resource", "Class": "Standard/OnDemand"},
}


def model(asked: dict[str, Any], region: str) -> Answer:
    name = asked["modelIdentifier"]
    arn = f"arn:aws:bedrock:{region}::foundation-model/{name}"
    return {"modelDetails": {"modelArn": arn, "modelId": name, "modelLifecycle": {"status": "ACTIVE"}}}


def profile(asked: dict[str, Any], region: str) -> Answer:
    name = asked["inferenceProfileIdentifier"]
    home = f"arn:aws:bedrock:{region}"
    return {
        "inferenceProfileName": name,
        "inferenceProfileId": name,
        "inferenceProfileArn": f"{home}:123456789012:inference-profile/{name}",
        "models": [{"modelArn": f"{home}::foundation-model/{name.partition('.')[2]}"}],
        "status": "ACTIVE",
        "type": "SYSTEM_DEFINED",
    }


def quota(asked: dict[str, Any], region: str) -> Answer:
    """The applied quotas of an account; of addresses it has none of its own."""
    if asked["QuotaCode"] == "L-0263D0A3":
        return Refusal("NoSuchResourceException")
    return {"Quota": {"Value": 6.0, "UsageMetric": USAGE} if asked["ServiceCode"] == "fargate" else {"Value": 5.0}}


def listing(**content: Any) -> Answer:
    """The form of CloudFront's lists."""
    ((name, items),) = content.items()
    head = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": len(items)}
    return {name: {**head, **({"Items": items} if items else {})}}


def fresh() -> dict[str, Answers]:
    """The answers of a fresh account, by the IAM action that asks for each."""
    return {
        "sts:GetCallerIdentity": {"Arn": ARN, "Account": "123456789012", "UserId": "AROA:me"},
        "ssm:GetParameter": {"Parameter": {"Name": "/cdk-bootstrap/hnb659fds/version", "Value": "28"}},
        "cloudformation:DescribeStacks": NO_STACK,
        "cloudformation:ListStackResources": NO_STACK,
        "cloudwatch:ListDashboards": {"DashboardEntries": [{"DashboardName": "somebody-else"}]},
        "cloudwatch:GetMetricStatistics": {"Datapoints": []},
        "bedrock:ListGuardrails": {"guardrails": []},
        "servicediscovery:ListNamespaces": {"Namespaces": []},
        "cloudfront:ListVpcOrigins": listing(VpcOriginList=[]),
        "cloudfront:ListDistributions": listing(DistributionList=[]),
        "lex:ListBots": {"botSummaries": []},
        "ec2:DescribeAvailabilityZones": {
            "AvailabilityZones": [
                {"ZoneId": f"use1-az{n}", "ZoneName": f"us-east-1{'fabcde'[n - 1]}", "State": "available"}
                for n in range(1, 7)
            ]
        },
        "ec2:DescribeVpcs": {"Vpcs": [{"VpcId": "vpc-default"}]},
        "ec2:DescribeAddresses": {"Addresses": []},
        "lambda:GetAccountSettings": {
            "AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
        },
        "servicequotas:GetServiceQuota": quota,
        "servicequotas:GetAWSDefaultServiceQuota": {"Quota": {"Value": 5.0}},
        "bedrock:GetUseCaseForModelAccess": {"formData": b'{"companyName": "We"}'},
        "bedrock:GetFoundationModelAvailability": lambda asked, region: {"modelId": asked["modelId"], **AVAILABLE},
        "bedrock:GetInferenceProfile": profile,
        "bedrock:GetFoundationModel": model,
        "route53:GetHostedZone": {"HostedZone": {"Id": "Z0123456789", "Name": "example.org.", "CallerReference": "x"}},
        "route53:ListResourceRecordSets": {"ResourceRecordSets": [], "IsTruncated": False, "MaxItems": "100"},
    }


class StubbedAccount:
    """The account: its answers, which a test may change, and the questions that it was asked."""

    def __init__(self) -> None:
        self.answers = fresh()
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        """Each question's IAM action, region and parameters."""
        self._stubbers: dict[tuple[str, str], Stubber] = {}

    def deployed(self, status: str = "UPDATE_COMPLETE", **resources: str) -> None:
        """Let the stack exist, with a resource of each type (`EC2_VPC="vpc-1"`) and without those that are deleted."""
        self.answers["cloudformation:DescribeStacks"] = stack(status)
        listed = [
            {
                "LogicalResourceId": f"R{place}",
                "PhysicalResourceId": physical,
                "ResourceType": f"AWS::{kind.replace('_', '::')}",
                "LastUpdatedTimestamp": THEN,
                "ResourceStatus": "CREATE_COMPLETE",
            }
            for place, (kind, physical) in enumerate(resources.items())
        ]
        self.answers["cloudformation:ListStackResources"] = {"StackResourceSummaries": listed}

    def client(self, service: str, region: str, config: object = None) -> Any:
        """A client of the account, in the place of the SDK's."""
        if (service, region) not in self._stubbers:
            made = _client(service, region)
            self._stubbers[service, region] = stubber = Stubber(made)
            # Before the Stubber's own handler, which looks for an answer.
            prepare = partial(self._prepare, service, region)
            made.meta.events.register_first("before-parameter-build.*.*", prepare, unique_id="stubbed-account")
            stubber.activate()
        return self._stubbers[service, region].client

    def _prepare(self, service: str, region: str, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Give the Stubber the answer to the question that is just being asked."""
        action = permission(service, model.name)
        self.asked.append((action, region, dict(params)))
        answer = self.answers[action]
        answer = answer(params, region) if callable(answer) else answer
        stubber = self._stubbers[service, region]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Refusal):
            stubber.add_client_error(xform_name(model.name), answer.code, answer.message)
        else:
            stubber.add_response(xform_name(model.name), answer)

    def close(self) -> None:
        """Give the clients back."""
        for stubber in self._stubbers.values():
            stubber.deactivate()
            stubber.client.meta.events.unregister("before-parameter-build.*.*", unique_id="stubbed-account")


@contextmanager
def stubbed_account(monkeypatch: Any) -> Iterator[StubbedAccount]:
    """An account that the preflight asks instead of AWS."""
    account = StubbedAccount()
    monkeypatch.setattr("qa_eval.deployment.preflight.account.client", account.client)
    yield account
    account.close()


def stack(status: str, description: str = outputs.DESCRIPTION) -> Answer:
    """A stack as CloudFormation describes it."""
    made = {"StackName": "qa-eval", "CreationTime": THEN, "StackStatus": status, "Description": description}
    return {"Stacks": [made]}


@cache
def _client(service: str, region: str) -> Any:
    return boto3.client(service, region_name=region, aws_access_key_id="x", aws_secret_access_key="y")
