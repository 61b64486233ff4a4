"""A model of any provider, asked by the LiteLLM SDK with no gateway in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.litellm_sdk import sdk
from qa_eval.spec.model import PromptSpec
from qa_eval.targets.base import Attempt
from qa_eval.targets.completion import number, read_completion
from qa_eval.targets.failures import first_line
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.targets.prompt import render
from qa_eval.targets.stream import STREAMING
from qa_eval.tracing.context import TraceContext, within


@dataclass(frozen=True, slots=True)
class LiteLLMTarget:
    """One model of a provider, with a prompt and parameters; a `Target`. With `stream`, it streams its answers.

    The provider's key comes from the environment, the cost from LiteLLM's price map. The SDK's own retries are off:
    the engine tries again.
    """

    model: str
    prompt: PromptSpec
    parameters: Mapping[str, Any]
    timeout_s: float
    stream: bool = False

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`.

        Raises:
            InputError: A package that the provider needs is not installed.
        """
        litellm, messages = sdk(), render(self.prompt, example)
        started_at, start = datetime.now(UTC), time.perf_counter()
        first_token_s: float | None = None
        try:
            with within(trace):
                response = await litellm.acompletion(
                    model=self.model,
                    messages=messages,
                    timeout=self.timeout_s,
                    num_retries=0,
                    max_retries=0,
                    **self.parameters,
                    **(STREAMING if self.stream else {}),
                )
                if self.stream:
                    # The SDK's own limit is for each piece.
                    async with asyncio.timeout(start + self.timeout_s - time.perf_counter()):
                        response, first_token_s = await _join(response, messages, start)
        except Exception as error:
            return self._failed(error, started_at, time.perf_counter() - start)
        latency_s = time.perf_counter() - start
        cost = number(response._hidden_params.get("response_cost"), float)
        facts = {"cost_usd": cost, "first_token_s": first_token_s}
        return Attempt(read_completion(response.model_dump(), started_at, latency_s, **facts))

    def _failed(self, error: Exception, started_at: datetime, latency_s: float) -> Attempt:
        if isinstance(error, sdk().exceptions.MidStreamFallbackError):
            error = error.original_exception or error
        missing = next((cause for cause in _chain(error) if isinstance(cause, ModuleNotFoundError)), None)
        if missing is not None:
            raise InputError(
                f"The model {self.model!r} needs the package {missing.name!r}, which is not installed: install it."
            ) from error
        outcome, retry = _classify(error)
        unreachable = outcome is Outcome.GATEWAY_ERROR and any(map(_is_refused_connection, _chain(error)))
        problem = str(error) or f"no answer within {self.timeout_s:g} s"
        reply = Reply(outcome, "", started_at, latency_s, message=first_line(problem))
        return Attempt(reply, retry, _retry_after_s(error), unreachable)


async def _join(stream: Any, messages: Sequence[Mapping[str, str]], start: float) -> tuple[Any, float | None]:
    """A streamed response as it comes whole, and the seconds from `start` to its first piece of text.

    Raises:
        ConnectionError: The stream ended before the answer was complete.
    """
    chunks: list[Any] = []
    first_token_s: float | None = None
    async for chunk in stream:
        chunks.append(chunk)
        if first_token_s is None and any(choice.delta.content for choice in chunk.choices):
            first_token_s = time.perf_counter() - start
    if stream.received_finish_reason is None:  # the SDK would make up a reason
        raise ConnectionError("the stream ended before the answer was complete")
    return sdk().stream_chunk_builder(chunks, messages=messages), first_token_s


def _classify(error: Exception) -> tuple[Outcome, bool]:
    """The outcome of an error of LiteLLM's, and whether to try again."""
    litellm = sdk()
    if isinstance(error, litellm.ContentPolicyViolationError):
        return Outcome.BLOCKED_INPUT, False
    if isinstance(error, litellm.RateLimitError):
        return Outcome.RATE_LIMITED, True
    if isinstance(error, litellm.Timeout | TimeoutError):
        return Outcome.TIMEOUT, False
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        return Outcome.REFUSED, False
    return Outcome.GATEWAY_ERROR, True


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_refused_connection(error: BaseException) -> bool:
    return isinstance(error, ConnectionRefusedError) or type(error).__name__ in ("ConnectError", "ClientConnectorError")


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(error, "litellm_response_headers", None) or {}
    seconds = number(headers.get("retry-after"), float)
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
