"""The Phoenix server of a run: its own client over aiohttp, and calls that are tried again until it takes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import HttpxAiohttpClient
from phoenix.client import AsyncClient
from tenacity import AsyncRetrying

from qa_eval.address import bearer, server_address
from qa_eval.errors import PhoenixError, PhoenixUnavailable
from qa_eval.retries import while_raising

UNTIL_TAKEN = while_raising(PhoenixUnavailable)
"""How long what is recorded is tried again: about a minute."""
_READ_S = 300.0
"""A large experiment is tens of megabytes, and Phoenix gathers it before it answers."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Conflict(PhoenixError):
    """Phoenix already has what was posted; the message is Phoenix's own."""


class Phoenix:
    """The Phoenix server of a run; an async context manager that holds its connections."""

    def __init__(self, url: str, key: str | None) -> None:
        """
        Args:
            url: Phoenix's address.
            key: Its API key; None where it needs none.

        Raises:
            InputError: The address is not one, or the key cannot be sent.
        """
        self.url = server_address(url)
        self.headers = dict(bearer(key, "PHOENIX_API_KEY"))
        self._outages = 0

    async def __aenter__(self) -> Phoenix:
        # Compressing thousands of small responses costs Phoenix more than it saves.
        headers = {"Accept-Encoding": "identity", **self.headers}
        self._http = HttpxAiohttpClient(base_url=self.url, headers=headers, timeout=60.0)
        self.client = AsyncClient(http_client=self._http)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    def count_outages(self) -> int:
        """How often it did not take what was sent: it may then have lost what it had taken shortly before."""
        return self._outages

    async def send(self, call: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call until Phoenix takes it: a lost connection, 429 and 5xx are tried again for about a minute.

        Args:
            call: A method of Phoenix's client.
            args: Its arguments.
            kwargs: Its arguments by name.

        Raises:
            Conflict: Phoenix has it already.
            PhoenixUnavailable: Phoenix has not taken it after the last try.
            PhoenixError: Phoenix refuses it.
        """
        try:
            return await self._once(call, *args, **kwargs)
        except PhoenixUnavailable:
            return await AsyncRetrying(**UNTIL_TAKEN)(self._once, call, *args, **kwargs)

    async def get(self, path: str) -> Any:
        """What Phoenix's REST interface answers, as JSON; None where it knows nothing.

        Raises:
            PhoenixUnavailable: Phoenix does not answer, or with an error.
        """
        try:
            response = await self._http.get(path, timeout=_READ_S)
            return None if response.status_code == 404 else response.raise_for_status().json()
        except httpx.HTTPStatusError as error:
            problem = f"HTTP {error.response.status_code}"
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            problem = type(error).__name__
        raise PhoenixUnavailable(f"Phoenix does not say what it has ({problem}): see its log.")

    async def query(self, text: str, **variables: Any) -> Any:
        """What Phoenix's GraphQL interface answers.

        Raises:
            PhoenixUnavailable: Phoenix does not answer.
            PhoenixError: Phoenix refuses.
        """
        return await self.send(self._query, {"query": text, "variables": variables})

    async def _query(self, body: dict[str, Any]) -> Any:
        answer = (await self._http.post("graphql", json=body)).raise_for_status().json()
        if answer.get("errors"):
            raise PhoenixError(f"Phoenix refuses: {answer['errors'][0]['message']}")
        return answer["data"]

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
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError):
            raise PhoenixUnavailable(
                f"No Phoenix answers at {self.url}: start it, check `phoenix`, or use `record=False` to record nothing."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise PhoenixError(f"{self.url} does not answer as Phoenix: check `phoenix`.") from None

    async def _once(self, call: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await _explained(call, *args, **kwargs)
        except PhoenixUnavailable:
            self._outages += 1
            raise


async def _explained(call: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """A call whose errors are Phoenix's, in one sentence."""
    try:
        return await call(*args, **kwargs)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status == 409:
            raise Conflict(error.response.text) from None
        if status != 429 and status < 500:
            raise PhoenixError(
                f"Phoenix refuses what is recorded (HTTP {status}): see its log; the journal keeps it."
            ) from None
        problem = f"HTTP {status}"
    except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
        problem = type(error).__name__
    except (ValueError, KeyError, TypeError):
        raise PhoenixError("Something in front of Phoenix answers in its place: check `phoenix`.") from None
    raise PhoenixUnavailable(f"Phoenix does not take what is recorded ({problem}): see its log; the journal keeps it.")
