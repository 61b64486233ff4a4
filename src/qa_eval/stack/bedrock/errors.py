"""The errors of the Bedrock runtime API: a kind, an HTTP status and a message, as AWS's SDKs read them."""

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
    """An error as the service gives it.

    Args:
        kind: AWS's name of it; the HTTP status follows from it.
        message: what the caller reads.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = _STATUS[kind]
