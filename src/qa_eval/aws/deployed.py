"""A deployed stack, found by its name: its outputs from CloudFormation, its keys from Secrets Manager.

In: a stack's name, and AWS credentials as every AWS tool finds them. Out: where the gateway and Phoenix are, and
keys that are never shown.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from qa_eval.blueprint import outputs
from qa_eval.errors import DeploymentError


@dataclass(frozen=True)
class DeployedStack:
    """A stack's gateway and Phoenix, with the experiments' own key."""

    name: str
    gateway_url: str
    phoenix_url: str
    gateway_key: str = field(repr=False)
    """A virtual key with a budget, no administrator's."""
    phoenix_key: str = field(repr=False)


def find(name: str, region: str | None = None) -> DeployedStack:
    """Look a stack up, with what an experiment needs.

    Args:
        name: The stack's name, the setting `name` that it was deployed with.
        region: Where it is; without it `AWS_REGION` or the AWS profile says so.

    Raises:
        DeploymentError: There is no such stack, it is none of ours, or AWS refuses.
    """
    told = stack_outputs(name, region)
    return DeployedStack(
        name=name,
        gateway_url=told[outputs.GATEWAY_URL],
        phoenix_url=told[outputs.PHOENIX_URL],
        gateway_key=read_secret(told[outputs.EXPERIMENT_KEY_SECRET], region),
        phoenix_key=read_secret(told[outputs.PHOENIX_KEY_SECRET], region),
    )


def stack_outputs(name: str, region: str | None = None) -> dict[str, str]:
    """What a stack says of itself; no secret is in it.

    Raises:
        DeploymentError: There is no such stack, it is none of ours, or AWS refuses.
    """
    try:
        (stack,) = aws("cloudformation", region).describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            raise DeploymentError(
                f"There is no stack {name!r} here: check its name and region (AWS_REGION), or deploy it with "
                "`qa-eval infra deploy`."
            ) from None
        raise refused(error) from None
    except BotoCoreError as error:
        raise refused(error) from None
    told = {str(each["OutputKey"]): str(each["OutputValue"]) for each in stack.get("Outputs", [])}
    if outputs.GATEWAY_URL not in told:
        raise DeploymentError(
            f"The stack {name!r} is {stack['StackStatus']} and names no gateway: is it the right one?"
        )
    return told


def read_secret(secret: str, region: str | None = None) -> str:
    """A secret's value, by its name or ARN.

    Raises:
        DeploymentError: It is not there, or AWS refuses.
    """
    try:
        return str(aws("secretsmanager", region).get_secret_value(SecretId=secret)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise refused(error) from None


def aws(service: str, region: str | None = None) -> Any:
    """A client of one of AWS's services.

    Raises:
        DeploymentError: No region is known.
    """
    try:
        # Most SDKs read AWS_REGION; this one reads AWS_DEFAULT_REGION only.
        return boto3.client(service, region_name=region or os.environ.get("AWS_REGION") or None)
    except NoRegionError:
        raise DeploymentError("No AWS region is named: set AWS_REGION to the stack's.") from None


def refused(error: Exception) -> DeploymentError:
    """One sentence for what AWS, or the way to it, said."""
    if isinstance(error, NoCredentialsError):
        return DeploymentError("There are no AWS credentials: log in first, for example with `aws sso login`.")
    if isinstance(error, ClientError):
        told = error.response["Error"]
        return DeploymentError(f"AWS refuses {error.operation_name}: {told['Code']}, {told['Message'].rstrip('.')}.")
    return DeploymentError(f"AWS cannot be asked: {str(error).rstrip('.')}.")
