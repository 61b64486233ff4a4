"""Lex V2 events in, Lex V2 responses out, and the conversation's history between them.

A client may send request attributes: `context`, a text that the model reads before the message (Lex limits a message
to 1,024 characters), `max_tokens`, a lower limit on the answer's tokens, and `traceparent`, the trace that the
gateway's spans join. The response's session attributes hold the turn's result: `outcome` (`answered`, or why there is
no answer) and `reason`; the history of the conversation is in the session attribute `history`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .messages import LONGEST_MESSAGE, NOT_TYPED, TOO_LONG, NoAnswer, split, without_surrogates

INTENTS = ("FallbackIntent", "AskQuestion")
"""The bot's intents; both are fulfilled here."""

MAX_ANSWER_TOKENS = 1200
MAX_CONTEXT_BYTES = 6000
MAX_HISTORY_TURNS = 6
MAX_HISTORY_BYTES = 4000
"""Lex keeps at most 12 KB of attributes, and its whole event to Lambda has at most 12 KB."""
MAX_RESPONSE_BYTES = 24_000
"""Lex accepts at most 25 KB from Lambda."""

_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True)
class Turn:
    """The question of one event."""

    message: str
    context: str
    max_tokens: int
    traceparent: str | None
    session_id: str
    history: list[dict[str, str]]
    """Earlier messages of this session, oldest first, in the format of the chat API."""


def read_turn(event: Any) -> Turn:
    """The question in a Lex V2 event.

    Raises:
        NoAnswer: The event has no question that can be answered.
    """
    event = as_mapping(event)
    message = event.get("inputTranscript")
    requested = as_mapping(event.get("requestAttributes"))
    if _intent(event).get("name", INTENTS[0]) not in INTENTS:
        raise NoAnswer("refused", "unknown_intent")
    if event.get("inputMode", "Text") != "Text":
        raise NoAnswer("refused", "input_mode", NOT_TYPED)
    if not isinstance(message, str) or not message.strip():
        raise NoAnswer("refused", "no_text", NOT_TYPED)
    if len(message) > LONGEST_MESSAGE:
        raise NoAnswer("refused", "too_long", TOO_LONG)
    context, traceparent, tokens = (str(requested.get(name, "")) for name in ("context", "traceparent", "max_tokens"))
    if len(context.encode(errors="replace")) > MAX_CONTEXT_BYTES:
        raise NoAnswer("refused", "context_too_long")
    return Turn(
        message=without_surrogates(message),
        context=without_surrogates(context),
        max_tokens=min(int(tokens), MAX_ANSWER_TOKENS) if _COUNT.fullmatch(tokens) else MAX_ANSWER_TOKENS,
        traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
        session_id=str(event.get("sessionId", "")),
        history=_read_history(_session_attributes(event).get("history")),
    )


def write_response(event: Any, turn: Turn | None, answer: str, failure: NoAnswer | None) -> dict[str, Any]:
    """The Lex V2 response that closes the turn.

    Args:
        event: The event.
        turn: The question in it; None where it has none.
        answer: The model's answer; empty where there is none.
        failure: Why there is no answer; None where there is one.
    """
    event = as_mapping(event)
    pieces = split(failure.sentence if failure else answer)
    attributes = {name: value for name, value in _session_attributes(event).items() if isinstance(value, str)}
    attributes |= {"outcome": failure.outcome if failure else "answered", "reason": failure.reason if failure else ""}
    if turn and not failure:
        room = MAX_RESPONSE_BYTES - sum(_json_bytes(text) for text in (*pieces, *attributes.values())) - 1000
        attributes["history"] = _write_history(turn, answer, min(MAX_HISTORY_BYTES, room))
    name = str(_intent(event).get("name") or INTENTS[0])
    return {
        "sessionState": {
            "dialogAction": {"type": "Close"},
            "intent": {"name": name, "state": "Failed" if failure else "Fulfilled"},
            "sessionAttributes": attributes,
        },
        "messages": [{"contentType": "PlainText", "content": piece} for piece in pieces],
    }


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _read_history(text: Any) -> list[dict[str, str]]:
    """The messages in the session attribute; a client may have changed it to anything."""
    try:
        turns = json.loads(text)
        pairs = [(question, answer) for question, answer in turns]
    except (TypeError, ValueError):
        return []
    history = []
    for pair in pairs[-MAX_HISTORY_TURNS:]:
        if all(isinstance(content, str) and content.strip() for content in pair):
            roles = zip(("user", "assistant"), pair, strict=True)
            history += [{"role": role, "content": without_surrogates(content)} for role, content in roles]
    return history


def _write_history(turn: Turn, answer: str, room: int) -> str:
    """The last turns as JSON, oldest first, as many as fit into `room` bytes."""
    contents = [message["content"] for message in turn.history]
    turns = [*zip(contents[::2], contents[1::2], strict=True), (turn.message, answer[:LONGEST_MESSAGE])]
    turns = turns[-MAX_HISTORY_TURNS:]
    while turns and _json_bytes(json.dumps(turns, ensure_ascii=False)) > room:
        turns = turns[1:]
    return json.dumps(turns, ensure_ascii=False)


def _intent(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_mapping(as_mapping(event.get("sessionState")).get("intent"))


def _session_attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return as_mapping(as_mapping(event.get("sessionState")).get("sessionAttributes"))


def _json_bytes(text: str) -> int:
    """Bytes of a text as a JSON string."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))
