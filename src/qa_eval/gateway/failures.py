"""From the SDK's exceptions to named outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qa_eval.gateway.reply import Outcome


@dataclass(frozen=True)
class Failure:
    """Why a call gave no answer, and whether this side may try again."""

    outcome: Outcome
    message: str
    retry: bool = False
    retry_after_s: float | None = None


def explain(error: Exception) -> Failure:
    """Name a failed call.

    Args:
        error: What the LiteLLM SDK raised; other exceptions are a `gateway_error` too, never a crash.
    """
    status = getattr(error, "status_code", None)
    kinds = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    message = _first_line(error)
    if "Timeout" in kinds or "APITimeoutError" in kinds:
        return Failure(Outcome.TIMEOUT, message)
    if "APIConnectionError" in kinds and status not in (400, 401, 403, 404, 429):
        return Failure(Outcome.GATEWAY_ERROR, message, retry=True)
    if status == 429:
        return Failure(Outcome.RATE_LIMITED, message, retry=True, retry_after_s=_retry_after(error))
    if "JSONDecodeError" in kinds or "APIResponseValidationError" in kinds:
        return Failure(Outcome.INVALID_RESPONSE, message)
    if isinstance(status, int) and 400 <= status < 500:
        return _guardrail(error) or Failure(Outcome.REFUSED, message)
    return Failure(Outcome.GATEWAY_ERROR, message)


def _guardrail(error: Exception) -> Failure | None:
    """The block by a guardrail, with the guardrail's own message, if this is one."""
    body = getattr(error, "body", None)
    fields = body.get("provider_specific_fields") if isinstance(body, Mapping) else None
    if isinstance(fields, Mapping) and "bedrock_guardrail_response" in fields:
        outcome = Outcome.BLOCKED_OUTPUT if fields.get("guardrail_mode") == "post_call" else Outcome.BLOCKED_INPUT
        return Failure(outcome, str(fields["bedrock_guardrail_response"]))
    if isinstance(body, Mapping) and body.get("code") == "content_filter":
        return Failure(Outcome.BLOCKED_INPUT, str(body.get("message", "")))
    return None


def _retry_after(error: Exception) -> float | None:
    for link in _chain(error):
        headers = getattr(getattr(link, "response", None), "headers", None) or {}
        value = headers.get("retry-after")
        if value is not None and str(value).replace(".", "", 1).isdigit():
            return float(value)
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _chain(error: BaseException | None) -> Iterator[Any]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
