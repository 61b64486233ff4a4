"""A model of any provider, asked by the LiteLLM SDK with no gateway in between."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
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
from qa_eval.tracing.context import TraceContext, within


@dataclass(frozen=True, slots=True)
class LiteLLMTarget:
    """One model of a provider, with a prompt and parameters; a `Target`.

    The provider's key comes from the environment, the cost from LiteLLM's price map. The SDK's own retries are off:
    the engine tries again.
    """

    model: str
    prompt: PromptSpec
    parameters: Mapping[str, Any]
    timeout_s: float

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`.

        Raises:
            InputError: A package that the provider needs is not installed.
        """
        messages = render(self.prompt, example)
        started_at, start = datetime.now(UTC), time.perf_counter()
        try:
            with within(trace):
                response = await sdk().acompletion(
                    model=self.model,
                    messages=messages,
                    timeout=self.timeout_s,
                    num_retries=0,
                    max_retries=0,
                    **self.parameters,
                )
        except Exception as error:
            return self._failed(error, started_at, time.perf_counter() - start)
        cost = number(response._hidden_params.get("response_cost"), float)
        latency_s = time.perf_counter() - start
        return Attempt(read_completion(response.model_dump(), started_at, latency_s, cost_usd=cost))

    def _failed(self, error: Exception, started_at: datetime, latency_s: float) -> Attempt:
        missing = next((cause for cause in _chain(error) if isinstance(cause, ModuleNotFoundError)), None)
        if missing is not None:
            raise InputError(
                f"The model {self.model!r} needs the package {missing.name!r}, which is not installed: install it."
            ) from error
        outcome, retry = _classify(error)
        unreachable = outcome is Outcome.GATEWAY_ERROR and any(map(_is_refused_connection, _chain(error)))
        reply = Reply(outcome, "", started_at, latency_s, message=first_line(str(error)))
        return Attempt(reply, retry, _retry_after_s(error), unreachable)


def _classify(error: Exception) -> tuple[Outcome, bool]:
    """The outcome of an error of LiteLLM's, and whether to try again."""
    litellm = sdk()
    if isinstance(error, litellm.ContentPolicyViolationError):
        return Outcome.BLOCKED_INPUT, False
    if isinstance(error, litellm.RateLimitError):
        return Outcome.RATE_LIMITED, True
    if isinstance(error, litellm.Timeout):
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
