"""The AWS account that is asked.

In: questions, each one operation of the SDK. Out: answers, in which nothing is left out by pages. A question that is
refused or not answered raises `NotAnswered`, which becomes a finding of its check.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

from qa_eval.aws.client import client, error_sentence
from qa_eval.deployment.preflight.permissions import PERMISSIONS, permission
from qa_eval.errors import DeploymentError

_PATIENCE: Final = Config(connect_timeout=10, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
_DENIALS: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized", "UnauthorizedOperation"}
)
_INVALID_CREDENTIALS: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class NotAnswered(Exception):
    """AWS denies a question, or does not answer it; the message is one sentence."""


class NotSignedIn(Exception):
    """AWS does not accept the credentials; the message is one sentence."""


class Account:
    """An AWS account, asked with read-only operations."""

    def __init__(self, stack: str, region: str) -> None:
        """
        Args:
            stack: The name of the stack that is going to be deployed.
            region: Its home region.
        """
        self.caller: str | None = None
        """The ARN of who is asking, once AWS has accepted the credentials."""
        self._stack, self._region = stack, region
        self._clients: dict[tuple[str, str], Any] = {}

    def sign_in(self) -> str:
        """Ask who is asking, and return the ARN.

        Raises:
            DeploymentError: There are no credentials, or AWS cannot be reached.
            NotSignedIn: AWS does not accept the credentials.
        """
        try:
            self.caller = str(self.ask("sts", "get_caller_identity")["Arn"])
        except NotAnswered as error:
            raise DeploymentError(str(error)) from None
        return self.caller

    @cached_property
    def own(self) -> Mapping[str, frozenset[str]]:
        """The physical ids of what the stack already has, by resource type; empty before its first deployment."""
        answer = self.ask("cloudformation", "list_stack_resources", missing=("ValidationError",), StackName=self._stack)
        found: defaultdict[str, set[str]] = defaultdict(set)
        for resource in answer.get("StackResourceSummaries", []):
            if resource["ResourceStatus"] != "DELETE_COMPLETE" and "PhysicalResourceId" in resource:
                found[resource["ResourceType"]].add(resource["PhysicalResourceId"])
        return {kind: frozenset(ids) for kind, ids in found.items()}

    def owned(self, kind: str) -> frozenset[str]:
        """The physical ids of the stack's resources of one type, such as `AWS::EC2::VPC`."""
        return self.own.get(kind, frozenset())

    def ask(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        missing: Collection[str] = (),
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call a read-only operation; with pages, all of them.

        Args:
            service: The service's name in the SDK.
            operation: The operation's name in the SDK, such as `describe_vpcs`.
            region: The region; by default the home region.
            missing: Error codes with which the service says that something does not exist; the answer is empty then.
            **parameters: The operation's parameters.

        Raises:
            NotAnswered: AWS denies it, or does not answer.
            NotSignedIn: AWS does not accept the credentials.
            DeploymentError: There are no credentials.
        """
        try:
            asked = self._client(service, region or self._region)
            needed = permission(service, asked.meta.method_to_api_mapping[operation])
            if needed not in PERMISSIONS:
                raise ValueError(f"{needed} is not among the preflight's permissions")
            if asked.can_paginate(operation):
                pages = asked.get_paginator(operation).paginate(**parameters)
                return dict(pages.build_full_result())
            return dict(getattr(asked, operation)(**parameters))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in missing:
                return {}
            if code in _INVALID_CREDENTIALS:
                raise NotSignedIn(
                    f"AWS does not accept the credentials ({code}): sign in again, for example with `aws sso login`, "
                    f"and check that the account has the region {region or self._region} enabled."
                ) from None
            if code in _DENIALS:
                raise NotAnswered(f"AWS denies {needed}: allow it to check this.") from None
            raise NotAnswered(f"{error_sentence(error).rstrip('.')}: run the preflight again.") from None
        except (ConnectionError, HTTPClientError) as error:
            raise NotAnswered(f"{error_sentence(error).rstrip('.')}: run the preflight again.") from None
        except BotoCoreError as error:
            raise DeploymentError(error_sentence(error)) from None

    def _client(self, service: str, region: str) -> Any:
        key = (service, region)
        if key not in self._clients:
            self._clients[key] = client(service, region, _PATIENCE)
        return self._clients[key]
