"""The errors of the Bedrock runtime API: a code, an HTTP status and a message, as AWS's SDKs parse them."""

from __future__ import annotations

from typing import Final

_STATUS: Final = {
    "ValidationException": 400,
    "ResourceNotFoundException": 404,
    "UnknownOperationException": 404,
    "ModelTimeoutException": 408,
    "ModelStreamErrorException": 424,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


class AwsError(Exception):
    """An error of the service.

    Args:
        kind: AWS's error code, which determines the HTTP status.
        message: The message for the caller.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = _STATUS[kind]
