"""A model behind a gateway, asked by aiohttp.

Any OpenAI-compatible gateway works: only `/v1/models` and `/v1/chat/completions` are used, and LiteLLM's
`/model/info` where there is one. The gateway retries the provider; the engine decides on retries of this side. One
process keeps hundreds of questions in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp

from qa_eval.address import bearer, server_address
from qa_eval.data.examples import Example
from qa_eval.errors import GatewayError
from qa_eval.spec.model import PromptSpec
from qa_eval.targets.base import TIMEOUT_S, Attempt
from qa_eval.targets.completion import ReadText, content_of, litellm_facts, read_completion
from qa_eval.targets.failures import Failure, explain
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.targets.prompt import render
from qa_eval.targets.stream import EVENT_STREAM, STREAMING, StreamedCompletion, first_event, status_of
from qa_eval.tracing.context import TraceContext

# LiteLLM's words for: no model answers in another's name, and no answer comes from a cache.
_NO_FALLBACKS: dict[str, Any] = {"disable_fallbacks": True}
_NO_CACHE: dict[str, Any] = {"cache": {"no-cache": True, "no-store": True}}
_JSON = {"Content-Type": "application/json"}
_DRAIN_S = 1.0
_FAILURES = (aiohttp.ClientError, OSError)
"""What aiohttp raises where there is no response; a timeout is an `OSError`."""


class GatewayClient:
    """Calls one gateway; an async context manager that holds its connections."""

    def __init__(
        self, url: str, key: str | None, *, timeout_s: float = TIMEOUT_S, headers: Mapping[str, str] | None = None
    ) -> None:
        """
        Args:
            url: The gateway's base URL, with or without `/v1`.
            key: Its API key; None where it needs none.
            timeout_s: How long one try may take. The default leaves the gateway its own tries.
            headers: More headers of every request, such as those that a load balancer routes by.
        """
        self.url = server_address(url).removesuffix("/v1")
        self._authorization = bearer(key, "QA_EVAL_GATEWAY_KEY")
        self._headers = {**self._authorization, **(headers or {})}
        self._timeout_s = timeout_s
        self._groups: frozenset[str] = frozenset()
        self._plain = False
        self._streaming = STREAMING

    async def __aenter__(self) -> GatewayClient:
        self._session = aiohttp.ClientSession(
            f"{self.url}/",
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(self._timeout_s),
            trust_env=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def models(self) -> tuple[str, ...]:
        """The model groups that the gateway offers to this key.

        Raises:
            GatewayError: The gateway is not there, refuses the key, or does not answer as one.
        """
        try:
            status, body = await self._get("v1/models")
        except _FAILURES:
            raise GatewayError(
                f"No gateway answers at {self.url}: start it (`qa-eval stack up` starts one here) or check `gateway`."
            ) from None
        if not self._authorization and status >= 400:
            raise GatewayError(f"The gateway at {self.url} refuses a call without a key: set QA_EVAL_GATEWAY_KEY.")
        if _refuses_key(status, body):
            raise GatewayError(f"The gateway at {self.url} refuses the key: set QA_EVAL_GATEWAY_KEY to a valid one.")
        try:
            return tuple(str(model["id"]) for model in json.loads(body)["data"])
        except (ValueError, KeyError, TypeError):
            raise GatewayError(
                f"{self.url}/v1/models answers with HTTP {status} and no list of models: "
                "check that `gateway` is the address of an OpenAI-compatible gateway."
            ) from None

    async def check(self, models: Sequence[str]) -> None:
        """Make sure that the gateway is there, takes the key and knows the models; learn which are routing groups.

        Raises:
            GatewayError: It is not so; the message says what to do.
        """
        offered = await self.models()
        unknown = [model for model in models if model not in offered]
        if unknown:
            known = ", ".join(sorted(set(offered))) or "none"
            raise GatewayError(f"The gateway has no model {unknown[0]!r}: choose `models` from {known}.")
        self._groups = await self._routing_groups()

    async def prices(self) -> dict[str, tuple[float, float]]:
        """US dollars a token, in and out, by model group, as LiteLLM's `/model/info` has them.

        A group whose deployments have several prices is left out: a span names the group, not the deployment. Nothing
        where the gateway is another one, or has no prices.
        """
        found: dict[str, set[tuple[float | None, float | None]]] = {}
        for entry in await self._deployments():
            about = entry.get("model_info") or {}
            price = (about.get("input_cost_per_token"), about.get("output_cost_per_token"))
            found.setdefault(str(entry["model_name"]), set()).add(price)
        single = {group: next(iter(prices)) for group, prices in found.items() if len(prices) == 1}
        return {group: (read, write or 0.0) for group, (read, write) in single.items() if read is not None}

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        trace: TraceContext | None = None,
        read: ReadText = content_of,
        *,
        stream: bool = False,
    ) -> Attempt:
        """Ask for one chat completion. Every failure is returned as an outcome.

        Args:
            model: The model group.
            messages: `role` and `content` of each message.
            parameters: What else the request holds, such as `temperature`.
            trace: The trace that the gateway's spans join.
            read: What of the completion's message is the answer.
            stream: Whether to stream the answer, which gives the time to its first token. A gateway that does not
                stream is read all the same, without that time.
        """
        request = {"model": model, "messages": messages, **parameters, **self._extensions(model)}
        request |= self._streaming if stream else {}
        headers = _JSON | {"traceparent": trace.traceparent} if trace else _JSON
        started_at, start = datetime.now(UTC), time.perf_counter()

        def failed(outcome: Outcome, message: str, **hints: Any) -> Attempt:
            reply = Reply(outcome, "", started_at, time.perf_counter() - start, message=message)
            return Attempt(reply, **hints)

        try:
            async with self._session.post(
                "v1/chat/completions", data=json.dumps(request).encode(), headers=headers, allow_redirects=False
            ) as response:
                body = await _read(response)
                latency_s = time.perf_counter() - start
                if isinstance(body, StreamedCompletion):
                    await _drain(response)
        except TimeoutError:
            return failed(Outcome.TIMEOUT, f"no answer within {self._timeout_s:g} s")
        except aiohttp.ClientConnectorError:
            return failed(Outcome.GATEWAY_ERROR, f"no connection to {self.url}", retry=True, unreachable=True)
        except _FAILURES as error:
            return failed(Outcome.GATEWAY_ERROR, f"the connection was cut ({type(error).__name__})", retry=True)
        except ValueError as error:
            return failed(Outcome.INVALID_RESPONSE, str(error))
        failure = _failure(response, body)
        if failure is not None:
            if response.status == 400 and self._can_ask_plainer(request, failure.message):
                return failed(failure.outcome, failure.message, retry=True, retry_after_s=0.0)
            return failed(failure.outcome, failure.message, retry=failure.retry, retry_after_s=failure.retry_after_s)
        facts = litellm_facts(response.headers)
        if isinstance(body, StreamedCompletion):
            # The headers come before the answer, so that a cost there is none of it.
            facts |= {"cost_usd": body.cost_usd, "first_token_s": body.first_token_s(start)}
            return Attempt(read_completion(body.to_json(), started_at, latency_s, read, **facts))
        return Attempt(read_completion(_json(body), started_at, latency_s, read, **facts))

    def _can_ask_plainer(self, request: Mapping[str, Any], message: str) -> bool:
        """Whether a request was refused for what only some gateways know; it is left out from then on."""
        if "cache" in request and _refuses_extensions(message):
            self._plain = True
            return True
        if "stream_options" in request and "stream_options" in message:
            self._streaming = {"stream": True}
            return True
        return False

    def _extensions(self, model: str) -> dict[str, Any]:
        """What only LiteLLM knows; a gateway that refuses it is asked in plain OpenAI from then on."""
        if self._plain:
            return {}
        return _NO_CACHE if model in self._groups else _NO_CACHE | _NO_FALLBACKS

    async def _get(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(path, timeout=aiohttp.ClientTimeout(15.0), allow_redirects=False) as response:
            return response.status, await response.read()

    async def _routing_groups(self) -> frozenset[str]:
        """The groups of several deployments: who answers there is the gateway's own choice."""
        deployments = Counter(str(entry["model_name"]) for entry in await self._deployments())
        return frozenset(group for group, count in deployments.items() if count > 1)

    async def _deployments(self) -> list[dict[str, Any]]:
        """What LiteLLM says of each deployment; nothing where the gateway is another one."""
        try:
            _, body = await self._get("model/info")
            return [entry for entry in json.loads(body)["data"] if "model_name" in entry]
        except (*_FAILURES, ValueError, KeyError, TypeError):
            return []


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """One model group of a gateway, with a prompt and parameters; a `Target`. With `stream`, it streams its answers."""

    client: GatewayClient
    model: str
    prompt: PromptSpec
    parameters: Mapping[str, Any]
    stream: bool = False

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`."""
        messages = render(self.prompt, example)
        return await self.client.complete(self.model, messages, self.parameters, trace, stream=self.stream)


async def _read(response: aiohttp.ClientResponse) -> bytes | StreamedCompletion:
    """The body of a response: an answer that is streamed, or anything else, whole."""
    if response.status >= 400 or response.content_type != EVENT_STREAM:
        return await response.read()
    streamed = StreamedCompletion()
    await streamed.read(response.content.iter_any())
    return streamed


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read what follows the end of an answer, so that its connection can be used again."""
    with contextlib.suppress(*_FAILURES):
        async with asyncio.timeout(_DRAIN_S):
            await response.read()


def _failure(response: aiohttp.ClientResponse, body: bytes | StreamedCompletion) -> Failure | None:
    """Why there is no answer; None where there may be one."""
    if isinstance(body, bytes):
        if response.status < 400:
            return None
        # LiteLLM gives the error of a stream that has not begun as an event.
        return explain(response.status, response.headers, first_event(body))
    if body.error is not None:
        failure = explain(status_of(body.error), response.headers, body.error)
        # The gateway retries the provider only until an answer has begun.
        return replace(failure, retry=failure.retry or (body.has_begun and failure.outcome is Outcome.GATEWAY_ERROR))
    if not body.is_complete:
        return Failure(Outcome.GATEWAY_ERROR, "the stream ended before the answer was complete", retry=True)
    return None


def _refuses_key(status: int, body: bytes) -> bool:
    """LiteLLM without a database cannot look a key up, and answers 400 to a wrong one."""
    return status in (401, 403) or (status == 400 and b"no_db_connection" in body)


def _refuses_extensions(message: str) -> bool:
    return any(name in message for name in _NO_CACHE | _NO_FALLBACKS)


def _json(body: bytes) -> Any:
    """What a body holds; None where it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None
