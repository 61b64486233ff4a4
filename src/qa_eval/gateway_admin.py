"""A client of a running LiteLLM gateway for requests that need its master key, with sentences for what goes wrong."""

from __future__ import annotations

from typing import Any, Final, Self

import httpx

from qa_eval.address import bearer
from qa_eval.errors import GatewayError

_TIMEOUT_S: Final = 120.0


class GatewayAdmin:
    """A client with a key that may read and change the gateway's settings; a context manager."""

    def __init__(self, url: str, key: str | None) -> None:
        """
        Args:
            url: The base URL, with or without `/v1`.
            key: The master key, or another administrator's key.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        self._client = httpx.Client(base_url=self.url, headers=bearer(key, "QA_EVAL_GATEWAY_KEY"), timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **parameters: str | int) -> httpx.Response:
        """The reply to a request without a body.

        Raises:
            GatewayError: The gateway does not answer, or refuses the key.
        """
        return self._send(self._client.build_request("GET", path, params=parameters))

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The reply to a request.

        Raises:
            GatewayError: The gateway does not answer, or refuses the key.
        """
        return self._send(self._client.build_request("POST", path, json=body))

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            reply = self._client.send(request)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise GatewayError(
                f"No gateway answers at {self.url}: start it (`qa-eval stack up` starts one here) or check `gateway`."
            ) from None
        if reply.status_code in (401, 403) or "no_db_connection" in reply.text:
            raise GatewayError(f"The gateway at {self.url} refuses the key: set QA_EVAL_GATEWAY_KEY to its master key.")
        return reply


def json_of(reply: httpx.Response) -> dict[str, Any]:
    """The object in a reply; empty where there is none."""
    try:
        content = reply.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def error_text(reply: httpx.Response) -> str:
    """The status and the message of an error, in one line."""
    error = json_of(reply).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    line = (str(message or reply.text).strip().splitlines() or ["no text"])[0]
    return f"HTTP {reply.status_code}, {line[:200].rstrip('.')}"
