"""What a user is told when a deployed stack cannot be found; ministack's tests find one."""

from __future__ import annotations

import os
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from qa_eval.aws import deployed
from qa_eval.blueprint import outputs
from qa_eval.errors import DeploymentError


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """CloudFormation's client with its answers written down beforehand."""
    client = boto3.client("cloudformation", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    monkeypatch.setattr(deployed, "client", lambda service, region: client)
    stubber = Stubber(client)
    stubber.activate()
    return stubber


def stack(**told: str) -> dict[str, Any]:
    listed = [{"OutputKey": name, "OutputValue": value} for name, value in told.items()]
    made = {"StackName": "qa-eval", "CreationTime": "2026-11-22T00:00:00Z", "StackStatus": "ROLLBACK_COMPLETE"}
    return {"Stacks": [{**made, "Outputs": listed}]}


def test_outputs_are_a_mapping(cloudformation: Stubber) -> None:
    cloudformation.add_response("describe_stacks", stack(**{outputs.GATEWAY_URL: "https://x", "Other": "y"}))
    assert deployed.platform_outputs("qa-eval") == {"GatewayUrl": "https://x", "Other": "y"}


def test_a_stack_that_is_not_there(cloudformation: Stubber) -> None:
    cloudformation.add_client_error(
        "describe_stacks", "ValidationError", "Stack with id qa-evil does not exist", http_status_code=400
    )
    with pytest.raises(DeploymentError, match="The stack 'qa-evil' does not exist: check its name and region"):
        deployed.platform_outputs("qa-evil")


def test_a_stack_of_somebody_else_or_half_of_ours(cloudformation: Stubber) -> None:
    cloudformation.add_response("describe_stacks", stack(Bucket="b"))
    with pytest.raises(DeploymentError, match="The stack 'qa-eval' has no output GatewayUrl: check that"):
        deployed.platform_outputs("qa-eval")


def test_a_refusal_is_one_sentence(cloudformation: Stubber) -> None:
    cloudformation.add_client_error("describe_stacks", "AccessDenied", "User is not authorized.")
    with pytest.raises(DeploymentError, match=r"^AWS refuses DescribeStacks: AccessDenied, User is not authorized\.$"):
        deployed.platform_outputs("qa-eval")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without any AWS configuration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.usefixtures("nobody")
def test_without_a_region_it_says_what_to_set() -> None:
    with pytest.raises(DeploymentError, match=r"^No AWS region is configured: set AWS_REGION to the stack's region\.$"):
        deployed.find("qa-eval")


@pytest.mark.usefixtures("nobody")
def test_without_credentials_it_says_what_to_do() -> None:
    with pytest.raises(
        DeploymentError,
        match=r"^No valid AWS credentials \(Unable to locate credentials\): sign in, for",
    ):
        deployed.find("qa-eval", "us-east-1")


def described(text: str | None) -> dict[str, Any]:
    (made,) = stack()["Stacks"]
    return {"Stacks": [{**made, "StackId": "arn:stack", **({"Description": text} if text else {})}]}


def test_a_stack_of_ours_is_deleted_and_waited_for(cloudformation: Stubber) -> None:
    cloudformation.add_response("describe_stacks", described("qa-eval: what CloudFront needs in this region"))
    cloudformation.add_response("delete_stack", {}, {"StackName": "qa-eval-edge"})
    gone = {"Stacks": [{**described(None)["Stacks"][0], "StackStatus": "DELETE_COMPLETE"}]}
    cloudformation.add_response("describe_stacks", gone, {"StackName": "arn:stack"})
    assert deployed.delete_stack("qa-eval-edge", "us-east-1")
    cloudformation.assert_no_pending_responses()


@pytest.mark.parametrize("text", ["a stack of somebody else", None])
def test_another_stack_of_that_name_is_left_alone(cloudformation: Stubber, text: str | None) -> None:
    cloudformation.add_response("describe_stacks", described(text))
    assert not deployed.delete_stack("qa-eval-edge", "us-east-1")
    cloudformation.assert_no_pending_responses()


def test_a_stack_that_is_not_there_has_no_status_and_is_not_deleted(cloudformation: Stubber) -> None:
    for _ in range(2):
        cloudformation.add_client_error("describe_stacks", "ValidationError", "Stack with id x does not exist")
    assert deployed.stack_status("x") is None
    assert not deployed.delete_stack("x", "us-east-1")
