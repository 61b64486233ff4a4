"""From what a gateway answers in place of a completion to named outcomes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qa_eval.targets.outcome import Outcome


@dataclass(frozen=True)
class Failure:
    """Why a call gave no answer, and whether this side may try again."""

    outcome: Outcome
    message: str
    retry: bool = False
    retry_after_s: float | None = None


def explain(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """Name the failure of a call that was answered with an error.

    Args:
        status: HTTP status, 400 or above.
        headers: The response's headers; names in any case.
        body: The response's body: JSON from a gateway, anything from what stands before it.
    """
    error = _error(body)
    message = first_line(str(error.get("message", ""))) if error else f"HTTP {status}: {first_line(_text(body))}"
    retry_after_s = _seconds(headers.get("retry-after"))
    if status == 429:
        return Failure(Outcome.RATE_LIMITED, message, retry=True, retry_after_s=retry_after_s)
    if status in (408, 504) or (error and error.get("type") in ("timeout", "Timeout")):
        return Failure(Outcome.TIMEOUT, message)
    if status < 500:
        return _guardrail(error) or Failure(Outcome.REFUSED, message)
    # A load balancer whose gateway is away says so without JSON; the gateway itself has already tried again.
    return Failure(Outcome.GATEWAY_ERROR, message, retry=error is None and status in (502, 503))


def _error(body: bytes) -> Mapping[str, Any] | None:
    try:
        content = json.loads(body)
    except ValueError:
        return None
    error = content.get("error", content) if isinstance(content, Mapping) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, Mapping) else None


def _guardrail(error: Mapping[str, Any] | None) -> Failure | None:
    """The block by a guardrail, with the guardrail's own message, if this is one."""
    if error is None:
        return None
    fields = error.get("provider_specific_fields")
    if isinstance(fields, Mapping) and "bedrock_guardrail_response" in fields:
        outcome = Outcome.BLOCKED_OUTPUT if fields.get("guardrail_mode") == "post_call" else Outcome.BLOCKED_INPUT
        return Failure(outcome, str(fields["bedrock_guardrail_response"]))
    if error.get("code") == "content_filter":
        return Failure(Outcome.BLOCKED_INPUT, str(error.get("message", "")))
    return None


def _seconds(value: str | None) -> float | None:
    """`Retry-After` in seconds; its other form, a date, is left to our own pauses."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _text(body: bytes) -> str:
    return body[:2000].decode("utf-8", "replace")


def first_line(text: str) -> str:
    """The first line of an error's text, cut where it is very long."""
    return (text.strip().splitlines() or ["no message"])[0][:500]
