"""A model behind a gateway, over pooled connections.

Any OpenAI-compatible gateway works: only `/v1/models` and `/v1/chat/completions` are used, and LiteLLM's
`/model/info` where there is one. The gateway retries the provider; the engine decides on retries of this side. A
question costs about 0.15 ms of processor time, so that one process keeps hundreds in flight.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qa_eval.data.examples import Example
from qa_eval.errors import GatewayError
from qa_eval.http.base import Answer, Unreachable
from qa_eval.http.client import JSON, connect
from qa_eval.spec.model import PromptSpec
from qa_eval.targets.base import TIMEOUT_S, Attempt
from qa_eval.targets.failures import explain
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.targets.prompt import render
from qa_eval.tracing.context import TraceContext

# LiteLLM's words for: no model answers in another's name, and no answer comes from a cache.
_NO_FALLBACKS: dict[str, Any] = {"disable_fallbacks": True}
_NO_CACHE: dict[str, Any] = {"cache": {"no-cache": True, "no-store": True}}


class GatewayClient:
    """Calls one gateway; an async context manager that holds its connections."""

    def __init__(self, url: str, key: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        """
        Args:
            url: The gateway's base URL, with or without `/v1`.
            key: Its API key; None where it needs none.
            timeout_s: How long one try may take. The default leaves the gateway its own tries.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._timeout_s = timeout_s
        self._groups: frozenset[str] = frozenset()
        self._plain = False

    async def __aenter__(self) -> GatewayClient:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._requests = connect(self.url, headers, timeout_s=self._timeout_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._requests.close()

    async def models(self) -> tuple[str, ...]:
        """The model groups that the gateway offers to this key.

        Raises:
            GatewayError: The gateway is not there, refuses the key, or does not answer as one.
        """
        try:
            status, _, body = await self._get("v1/models")
        except OSError:
            raise GatewayError(
                f"No gateway answers at {self.url}: start it (`qa-eval stack up` starts one here) or check `gateway`."
            ) from None
        if self._key is None and status >= 400:
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

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        trace: TraceContext | None = None,
    ) -> Attempt:
        """Ask for one chat completion. Every failure is returned as an outcome.

        Args:
            model: The model group.
            messages: `role` and `content` of each message.
            parameters: What else the request holds, such as `temperature`.
            trace: The trace that the gateway's spans join.
        """
        request = {"model": model, "messages": messages, **parameters, **self._extensions(model)}
        described = JSON | {"traceparent": trace.traceparent} if trace else JSON
        started_at, start = datetime.now(UTC), time.perf_counter()

        def failed(outcome: Outcome, message: str, **hints: Any) -> Attempt:
            reply = Reply(outcome, "", started_at, time.perf_counter() - start, message=message)
            return Attempt(reply, **hints)

        try:
            content = json.dumps(request).encode()
            status, headers, body = await self._requests.request("POST", "v1/chat/completions", content, described)
        except TimeoutError:
            return failed(Outcome.TIMEOUT, f"no answer within {self._timeout_s:g} s")
        except Unreachable:
            return failed(Outcome.GATEWAY_ERROR, f"no connection to {self.url}", retry=True, unreachable=True)
        except OSError as error:
            return failed(Outcome.GATEWAY_ERROR, f"the connection was cut ({type(error).__name__})", retry=True)
        if status >= 400:
            failure = explain(status, headers, body)
            if status == 400 and "cache" in request and _refuses_extensions(failure.message):
                self._plain = True
                return failed(failure.outcome, failure.message, retry=True, retry_after_s=0.0)
            return failed(failure.outcome, failure.message, retry=failure.retry, retry_after_s=failure.retry_after_s)
        return Attempt(_read(body, headers, started_at, time.perf_counter() - start))

    def _extensions(self, model: str) -> dict[str, Any]:
        """What only LiteLLM knows; a gateway that refuses it is asked in plain OpenAI from then on."""
        if self._plain:
            return {}
        return _NO_CACHE if model in self._groups else _NO_CACHE | _NO_FALLBACKS

    async def _get(self, path: str) -> Answer:
        return await self._requests.request("GET", path, timeout_s=15.0)

    async def _routing_groups(self) -> frozenset[str]:
        """The groups of several deployments, where the gateway is LiteLLM: who answers there is its own choice."""
        try:
            _, _, body = await self._get("model/info")
            deployments = Counter(str(entry["model_name"]) for entry in json.loads(body)["data"])
        except (OSError, ValueError, KeyError, TypeError):
            return frozenset()
        return frozenset(group for group, count in deployments.items() if count > 1)


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """One model group of a gateway, with a prompt and parameters; a `Target`."""

    client: GatewayClient
    model: str
    prompt: PromptSpec
    parameters: Mapping[str, Any]

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`."""
        return await self.client.complete(self.model, render(self.prompt, example), self.parameters, trace)


def _refuses_key(status: int, body: bytes) -> bool:
    """LiteLLM without a database cannot look a key up, and answers 400 to a wrong one."""
    return status in (401, 403) or (status == 400 and b"no_db_connection" in body)


def _refuses_extensions(message: str) -> bool:
    return any(name in message for name in _NO_CACHE | _NO_FALLBACKS)


def _read(body: bytes, headers: Mapping[str, str], started_at: datetime, latency_s: float) -> Reply:
    """The gateway's completion as a reply."""

    def failed(message: str) -> Reply:
        return Reply(Outcome.INVALID_RESPONSE, "", started_at, latency_s, message=message)

    try:
        response = json.loads(body)
        choices, usage = response["choices"], response.get("usage") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return failed("the response is no chat completion in JSON")
    if not choices:
        return failed("the response holds no choices")
    try:
        text = (choices[0]["message"].get("content") or "").strip()
        outcome, message = _outcome(text, choices[0].get("finish_reason"))
        return Reply(
            outcome=outcome,
            text=text if outcome.is_answer else "",
            started_at=started_at,
            latency_s=latency_s,
            message=message,
            prompt_tokens=_number(usage.get("prompt_tokens"), int),
            completion_tokens=_number(usage.get("completion_tokens"), int),
            cost_usd=_number(headers.get("x-litellm-response-cost"), float),
            deployment=headers.get("x-litellm-model-id"),
            deployment_model=headers.get("x-litellm-model-name"),
            fallbacks=_number(headers.get("x-litellm-attempted-fallbacks"), int),
            gateway_retries=_number(headers.get("x-litellm-attempted-retries"), int),
        )
    except (KeyError, TypeError, AttributeError, IndexError):
        return failed("the response is no chat completion: its first choice has no message")


def _outcome(text: str, finish_reason: Any) -> tuple[Outcome, str]:
    if finish_reason == "content_filter":
        return Outcome.BLOCKED_OUTPUT, text or "the provider's content filter"
    return (Outcome.ANSWERED, "") if text else (Outcome.EMPTY, "the model gave an empty answer")


def _number(value: Any, kind: type[int] | type[float]) -> Any:
    try:
        return None if value is None else kind(value)
    except (ValueError, TypeError):
        return None
