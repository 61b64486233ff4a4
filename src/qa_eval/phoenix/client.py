"""The Phoenix server: whether it is there, what it answers, and posts that are tried again until it takes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from phoenix.client import AsyncClient

from qa_eval.errors import PhoenixError, PhoenixUnavailable
from qa_eval.http.client import JSON, connect

PAUSES_S: Sequence[float] = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0)
"""Seconds between the tries of one post."""
_PROTOBUF = {"Content-Type": "application/x-protobuf"}
_READ_S = 300.0
"""A large experiment is tens of megabytes, and Phoenix gathers it before it answers."""


class Conflict(PhoenixError):
    """Phoenix already has what was posted; the message is Phoenix's own."""


class Phoenix:
    """The Phoenix server of a run."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self.headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=60.0)
        self.client = AsyncClient(http_client=self._http)

    async def __aenter__(self) -> Phoenix:
        self._requests = connect(self.url, self.headers, timeout_s=60.0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._requests.close()
        await self._http.aclose()

    async def post(self, path: str, body: Mapping[str, Any] | bytes) -> bytes:
        """Send until Phoenix takes it; a lost connection, 429 and 5xx are tried again after `PAUSES_S`.

        Args:
            path: Where to, below Phoenix's address.
            body: JSON, or bytes in protocol buffers.

        Returns:
            Phoenix's answer.

        Raises:
            Conflict: Phoenix has it already.
            PhoenixUnavailable: Phoenix has not taken it after the last pause.
            PhoenixError: Phoenix refuses it.
        """
        content, kind = (body, _PROTOBUF) if isinstance(body, bytes) else (json.dumps(body).encode(), JSON)
        for pause in (*PAUSES_S, None):
            try:
                status, _, answer = await self._requests.request("POST", path, content, kind)
            except OSError as error:
                problem = type(error).__name__
            else:
                if status < 300:
                    return answer
                if status == 409:
                    raise Conflict(answer.decode("utf-8", "replace"))
                if status != 429 and status < 500:
                    raise PhoenixError(
                        f"Phoenix refuses what is recorded (HTTP {status}): see its log; the journal keeps it."
                    )
                problem = f"HTTP {status}"
            if pause is None:
                raise PhoenixUnavailable(
                    f"Phoenix does not take what is recorded ({problem}): see its log; the journal keeps it."
                )
            await asyncio.sleep(pause)
        raise AssertionError("the last pause raises")

    async def get(self, path: str) -> Any:
        """What Phoenix answers, as JSON; None where it knows nothing.

        Raises:
            PhoenixUnavailable: Phoenix does not answer, or with an error.
        """
        try:
            status, _, answer = await self._requests.request("GET", path, timeout_s=_READ_S)
            if status == 404:
                return None
            if status == 200:
                return json.loads(answer)
            problem = f"HTTP {status}"
        except (OSError, ValueError) as error:
            problem = type(error).__name__
        raise PhoenixUnavailable(f"Phoenix does not say what it has ({problem}): see its log.")

    async def check(self) -> None:
        """Make sure that Phoenix is there and takes the key.

        Raises:
            PhoenixError: It is not so; the message says what to do.
        """
        try:
            response = await self._http.get("v1/datasets", params={"limit": 1}, timeout=15.0)
            response.raise_for_status().json()["data"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code in (401, 403):
                raise PhoenixError(
                    f"Phoenix at {self.url} refuses the key: set PHOENIX_API_KEY to a valid one."
                ) from None
            kind = PhoenixUnavailable if error.response.status_code >= 500 else PhoenixError
            raise kind(
                f"{self.url} answers with HTTP {error.response.status_code}, not as Phoenix: check `phoenix`."
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise PhoenixUnavailable(
                f"No Phoenix answers at {self.url}: start it, check `phoenix`, or use `record=False` to record nothing."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise PhoenixError(f"{self.url} does not answer as Phoenix: check `phoenix`.") from None
