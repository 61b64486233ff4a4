"""The only place that creates AWS clients and words AWS's errors.

Credentials and region come from the AWS SDK's usual sources, and from `AWS_REGION`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from qa_eval.errors import DeploymentError, QaEvalError

_CREDENTIAL_ERRORS: Final = frozenset(
    {
        "CredentialRetrievalError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)


def client(service: str, region: str | None = None, config: Config | None = None) -> Any:
    """Create a client of an AWS service.

    Args:
        service: The service's name in boto3.
        region: The region; by default `AWS_REGION`, else what the AWS profile configures.
        config: Timeouts, retries and pool size.

    Raises:
        BotoCoreError: No region is configured, or the profile does not exist; see `aws_errors`.
    """
    # Most SDKs read AWS_REGION; boto3 reads only AWS_DEFAULT_REGION.
    session = boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)
    return session.client(service, config=config)


@contextmanager
def aws_errors(kind: type[QaEvalError] = DeploymentError) -> Iterator[None]:
    """Raise the SDK's errors as errors of ours.

    Args:
        kind: The class of the error that is raised instead.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise kind(error_sentence(error)) from None


def error_sentence(error: BotoCoreError | ClientError) -> str:
    """One sentence for an error of the AWS SDK, with what to do where that is known."""
    if isinstance(error, ClientError):
        details = error.response["Error"]
        message = str(details.get("Message") or "no message").rstrip(".")
        return f"AWS refuses {error.operation_name}: {details['Code']}, {message}."
    reason = str(error).rstrip(".")
    name = type(error).__name__
    if name == "NoRegionError":
        return "No AWS region is configured: set AWS_REGION to the stack's region."
    if name in _CREDENTIAL_ERRORS:
        return f"No valid AWS credentials ({reason}): sign in, for example with `aws sso login`, or set AWS_PROFILE."
    return f"AWS cannot be reached: {reason}."
