"""A chat completion, as OpenAI's interface defines it, read as a reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from qa_eval.targets.outcome import Outcome, Reply

ReadText = Callable[[Mapping[str, Any]], str]
"""What of a completion's message is the answer; it raises `ValueError` where that is nothing to read."""


def content_of(message: Mapping[str, Any]) -> str:
    """A message's text."""
    return message.get("content") or ""


def read_completion(
    completion: Any, started_at: datetime, latency_s: float, read: ReadText = content_of, **facts: Any
) -> Reply:
    """The reply that a completion holds.

    Args:
        completion: The response's JSON.
        started_at: When it was asked for.
        latency_s: How long it took, in seconds.
        read: What of its message is the answer.
        facts: What else is known of it, such as `cost_usd`: fields of `Reply`.
    """

    def failed(message: str) -> Reply:
        return Reply(Outcome.INVALID_RESPONSE, "", started_at, latency_s, message=message)

    try:
        choices, usage = completion["choices"], completion.get("usage") or {}
    except (KeyError, TypeError, AttributeError):
        return failed("the response is no chat completion in JSON")
    if not choices:
        return failed("the response holds no choices")
    try:
        text = read(choices[0]["message"]).strip()
        outcome, message = _outcome(text, choices[0].get("finish_reason"))
        return Reply(
            outcome=outcome,
            text=text if outcome.is_answer else "",
            started_at=started_at,
            latency_s=latency_s,
            message=message,
            prompt_tokens=number(usage.get("prompt_tokens"), int),
            completion_tokens=number(usage.get("completion_tokens"), int),
            **facts,
        )
    except ValueError as error:
        return failed(str(error))
    except (KeyError, TypeError, AttributeError, IndexError):
        return failed("the response is no chat completion: its first choice has no message")


def litellm_facts(headers: Mapping[str, str]) -> dict[str, Any]:
    """What LiteLLM's gateway says of a reply in its headers; nothing where another gateway answers."""
    return {
        "cost_usd": number(headers.get("x-litellm-response-cost"), float),
        "deployment": headers.get("x-litellm-model-id"),
        "deployment_model": headers.get("x-litellm-model-name"),
        "fallbacks": number(headers.get("x-litellm-attempted-fallbacks"), int),
        "gateway_retries": number(headers.get("x-litellm-attempted-retries"), int),
    }


def number(value: Any, kind: type[int] | type[float]) -> Any:
    """A value as a number; None where it is not one."""
    try:
        return None if value is None else kind(value)
    except (ValueError, TypeError):
        return None


def _outcome(text: str, finish_reason: Any) -> tuple[Outcome, str]:
    if finish_reason == "content_filter":
        return Outcome.BLOCKED_OUTPUT, text or "the provider's content filter"
    return (Outcome.ANSWERED, "") if text else (Outcome.EMPTY, "the model gave an empty answer")
