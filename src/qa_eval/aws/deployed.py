"""A deployed stack, found by its name: its outputs in CloudFormation, its keys in Secrets Manager.

In: a stack's name, and AWS credentials from the SDK's usual sources. Out: the addresses of the gateway and Phoenix,
and their keys, which are never shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from qa_eval.aws.client import aws_errors, client
from qa_eval.blueprint import outputs
from qa_eval.errors import DeploymentError


@dataclass(frozen=True)
class DeployedStack:
    """A stack's gateway and Phoenix, with the key for experiments."""

    name: str
    gateway_url: str
    phoenix_url: str
    gateway_key: str = field(repr=False)
    """A virtual key with a budget, not an administrator's key."""
    phoenix_key: str = field(repr=False)


def find(name: str, region: str | None = None) -> DeployedStack:
    """Look up a stack with everything that an experiment needs.

    Args:
        name: The stack's name: the setting `name` of its deployment.
        region: Its region; by default `AWS_REGION` or the AWS profile's.

    Raises:
        DeploymentError: The stack does not exist, was not deployed by qa-eval, or AWS refuses.
    """
    found = platform_outputs(name, region)
    return DeployedStack(
        name=name,
        gateway_url=found[outputs.GATEWAY_URL],
        phoenix_url=found[outputs.PHOENIX_URL],
        gateway_key=read_secret(found[outputs.EXPERIMENT_KEY_SECRET], region),
        phoenix_key=read_secret(found[outputs.PHOENIX_KEY_SECRET], region),
    )


def platform_outputs(name: str, region: str | None = None) -> dict[str, str]:
    """The outputs of a stack that holds the platform; none of them is a secret.

    Raises:
        DeploymentError: The stack does not exist, was not deployed by qa-eval, or AWS refuses.
    """
    found = stack_outputs(name, region)
    if outputs.GATEWAY_URL not in found:
        raise DeploymentError(
            f"The stack {name!r} has no output {outputs.GATEWAY_URL}: check that it is a completed deployment of "
            "`qa-eval infra deploy`."
        )
    return found


def stack_status(name: str, region: str | None = None) -> str | None:
    """CloudFormation's status of any stack, or None if there is none.

    Raises:
        DeploymentError: AWS refuses.
    """
    found = _describe(name, region)
    return str(found["StackStatus"]) if found else None


def delete_stack(name: str, region: str) -> bool:
    """Delete a stack of ours, and wait for it; return whether there was one.

    Raises:
        DeploymentError: AWS refuses, or a resource cannot be deleted.
    """
    found = _describe(name, region)
    if found is None or not str(found.get("Description", "")).startswith(outputs.DESCRIPTION):
        return False
    with aws_errors():
        cloudformation = client("cloudformation", region)
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=str(found["StackId"]))
    return True


def stack_outputs(name: str, region: str | None = None) -> dict[str, str]:
    """The outputs of any stack.

    Raises:
        DeploymentError: The stack does not exist, or AWS refuses.
    """
    stack = _describe(name, region)
    if stack is None:
        raise DeploymentError(
            f"The stack {name!r} does not exist: check its name and region (AWS_REGION), or deploy it with "
            "`qa-eval infra deploy`."
        )
    return {str(output["OutputKey"]): str(output["OutputValue"]) for output in stack.get("Outputs", [])}


def _describe(name: str, region: str | None) -> dict[str, Any] | None:
    with aws_errors():
        try:
            (stack,) = client("cloudformation", region).describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
    return dict(stack)


def read_secret(secret: str, region: str | None = None) -> str:
    """A secret's value, by its name or ARN.

    Raises:
        DeploymentError: The secret does not exist, or AWS refuses.
    """
    with aws_errors():
        return str(client("secretsmanager", region).get_secret_value(SecretId=secret)["SecretString"])
