"""One model call through the gateway, with the LiteLLM SDK.

Any OpenAI-compatible gateway will do: only `/v1/models` and `/v1/chat/completions` are asked of it. The gateway
retries the provider; this side retries only what the gateway itself could not be reached for, and a 429 (the only
level of retries on this side: the SDK's own are off).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from qa_eval.errors import GatewayError
from qa_eval.gateway.failures import Failure, explain
from qa_eval.gateway.reply import Outcome, Reply

# Prices come with the installed package: LiteLLM would otherwise fetch them from the network when imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

TRIES = 4
_LONGEST_WAIT_S = 30.0


class GatewayClient:
    """Calls one gateway."""

    def __init__(self, url: str, key: str | None, *, timeout_s: float = 120.0) -> None:
        """
        Args:
            url: The gateway's base URL, with or without `/v1`.
            key: Its API key; None where it needs none.
            timeout_s: How long one try may take. The default leaves the gateway its own four tries of 25 s.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key = key
        self._timeout_s = timeout_s
        # LiteLLM's word for: no model answers in another's name. A gateway that does not know it may refuse it.
        self._extensions: dict[str, Any] = {"disable_fallbacks": True}

    async def __aenter__(self) -> GatewayClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections that the SDK keeps for this event loop."""
        if "litellm" in sys.modules:
            import litellm
            from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

            await close_litellm_async_clients()  # type: ignore[no-untyped-call]
            litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]

    async def models(self) -> tuple[str, ...]:
        """The model groups that the gateway offers to this key.

        Raises:
            GatewayError: The gateway is not there, refuses the key, or does not answer as one.
        """
        try:
            async with httpx.AsyncClient(timeout=15.0) as client:
                response = await client.get(f"{self.url}/v1/models", headers=self._headers())
        except (httpx.HTTPError, httpx.InvalidURL):
            raise GatewayError(
                f"No gateway answers at {self.url}: start it (`qa-eval stack up` starts one here) or check --gateway."
            ) from None
        if self._key is None and response.is_error:
            raise GatewayError(f"The gateway at {self.url} refuses a call without a key: set QA_EVAL_GATEWAY_KEY.")
        if _refuses_key(response):
            raise GatewayError(f"The gateway at {self.url} refuses the key: set QA_EVAL_GATEWAY_KEY to a valid one.")
        try:
            return tuple(str(model["id"]) for model in response.raise_for_status().json()["data"])
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
            raise GatewayError(
                f"{self.url}/v1/models answers with HTTP {response.status_code} and no list of models: "
                "check that --gateway names an OpenAI-compatible gateway."
            ) from None

    async def check(self, models: Sequence[str]) -> None:
        """Make sure that the gateway is there, takes the key and knows the models.

        Raises:
            GatewayError: It is not so; the message says what to do.
        """
        offered = await self.models()
        unknown = [model for model in models if model not in offered]
        if unknown:
            known = ", ".join(sorted(set(offered))) or "none"
            raise GatewayError(f"The gateway knows no model {unknown[0]!r}: choose --model from {known}.")

    async def ask(
        self,
        model: str,
        prompt: str,
        *,
        temperature: float,
        max_tokens: int,
        traceparent: str | None = None,
        trace_id: str | None = None,
    ) -> Reply:
        """Ask one question; every failure comes back as an outcome, none as an exception.

        Args:
            model: The model group.
            prompt: The one user message.
            temperature: 0 for the most likely answer.
            max_tokens: The longest answer.
            traceparent: W3C trace context that the gateway's spans join.
            trace_id: What the reply says of its trace.
        """
        request = self._request(model, prompt, temperature, max_tokens, traceparent)
        for attempt in range(TRIES):
            started_at, start = datetime.now(UTC), time.perf_counter()
            try:
                reply = _read(await _complete(request), started_at, time.perf_counter() - start)
            except Exception as error:
                failure = explain(error)
                if request["extra_body"] and "disable_fallbacks" in failure.message:
                    request["extra_body"] = self._extensions = {}
                    continue
                if failure.retry and attempt + 1 < TRIES:
                    await asyncio.sleep(_wait(failure, attempt))
                    continue
                reply = Reply(
                    outcome=failure.outcome,
                    text="",
                    started_at=started_at,
                    latency_s=time.perf_counter() - start,
                    message=failure.message,
                )
            return replace(reply, trace_id=trace_id)
        raise AssertionError("the last try returns")

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _request(
        self, model: str, prompt: str, temperature: float, max_tokens: int, traceparent: str | None
    ) -> dict[str, Any]:
        return {
            "model": model,
            "custom_llm_provider": "openai",
            "api_base": f"{self.url}/v1",
            "api_key": self._key or "none",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": temperature,
            "max_tokens": max_tokens,
            "timeout": self._timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            "extra_body": self._extensions,
            "extra_headers": {"traceparent": traceparent} if traceparent else {},
        }


def _refuses_key(response: httpx.Response) -> bool:
    """LiteLLM without a database cannot look a key up, and answers 400 to a wrong one."""
    unknown_to_litellm = response.status_code == 400 and "no_db_connection" in response.text
    return response.status_code in (401, 403) or unknown_to_litellm


async def _complete(request: dict[str, Any]) -> Any:
    import litellm

    litellm.suppress_debug_info = True
    return await litellm.acompletion(**request)


def _wait(failure: Failure, attempt: int) -> float:
    """Seconds until the next try: what the gateway asks for, else exponential with full jitter."""
    if failure.retry_after_s is not None:
        return min(failure.retry_after_s, _LONGEST_WAIT_S)
    return random.uniform(0.5, 1.0) * min(2.0**attempt, _LONGEST_WAIT_S)  # noqa: S311


def _read(response: Any, started_at: datetime, latency_s: float) -> Reply:
    """The SDK's response as a reply."""
    headers = response._hidden_params.get("additional_headers") or {}
    usage = getattr(response, "usage", None)
    choice = response.choices[0] if response.choices else None
    text = ((choice.message.content if choice else None) or "").strip()
    if choice is None:
        outcome, message = Outcome.INVALID_RESPONSE, "the response holds no choices"
    elif choice.finish_reason == "content_filter":
        outcome, message, text = Outcome.BLOCKED_OUTPUT, text or "the provider's content filter", ""
    else:
        outcome, message = (Outcome.ANSWERED, "") if text else (Outcome.EMPTY, "the model gave an empty answer")
    return Reply(
        outcome=outcome,
        text=text,
        started_at=started_at,
        latency_s=latency_s,
        message=message,
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
        cost_usd=_cost(headers.get("llm_provider-x-litellm-response-cost")),
        deployment=headers.get("llm_provider-x-litellm-model-id"),
    )


def _cost(header: str | None) -> float | None:
    try:
        return None if header is None else float(header)
    except ValueError:
        return None
