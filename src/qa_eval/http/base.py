"""What an HTTP client of this room does, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Unreachable(ConnectionError):
    """There is no connection to the server: what was to be sent was not sent."""


class Answer(NamedTuple):
    """What a server answers."""

    status: int
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes


class HttpClient(Protocol):
    """Sends requests to one server."""

    async def request(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """Ask once; redirects are not followed.

        Args:
            method: `GET`, `POST` and the like.
            path: Below the server's address, without a slash before it.
            content: What is sent.
            headers: Beside those of every request.
            timeout_s: How long a new connection, and then the answer, may take; the client's own limit without it.

        Raises:
            Unreachable: There is no connection.
            ConnectionError: The connection ended before the answer did, or the answer is not HTTP.
            TimeoutError: There is no answer in time.
        """
        ...

    async def close(self) -> None:
        """Close what is kept."""
        ...
