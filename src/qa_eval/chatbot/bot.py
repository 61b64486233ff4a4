"""What any bot can do: take a message of a session, and answer with messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BotReply:
    """One turn's answer."""

    messages: tuple[str, ...]
    """What the user reads: the answer in pieces, or why there is none."""
    outcome: str
    """`answered`, or the name of the outcome that an experiment counts."""
    reason: str = ""
    """A word on why there is no answer, such as `guardrail` or `http_429`."""

    @property
    def text(self) -> str:
        """All messages as one text; between them stood white space, which the bot cuts off."""
        return "\n".join(self.messages)

    @property
    def answered(self) -> bool:
        """Whether the text is the model's answer."""
        return self.outcome == "answered"


class Bot(Protocol):
    """The deployed bot or the local one; may be called from several threads at once."""

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        """Take a turn.

        Args:
            session_id: Names the conversation: 2 to 100 letters, digits and `._:-`.
            message: 1 to 1,024 characters.
            attributes: Lex's request attributes: `context`, which the model reads before the message, `max_tokens`
                and `traceparent`.

        Raises:
            ChatbotError: The bot itself cannot be reached. What the bot says of the gateway is a reply.
        """
        ...


def read_response(response: Mapping[str, object]) -> BotReply:
    """The reply in what Lex, or the handler, returned. Where Lex itself speaks, nobody has said what happened."""
    state = _mapping(response.get("sessionState"))
    attributes = _mapping(state.get("sessionAttributes"))
    messages = response.get("messages")
    texts = [_mapping(message).get("content") for message in messages] if isinstance(messages, list) else []
    outcome, reason = str(attributes.get("outcome", "")), str(attributes.get("reason", ""))
    failed = _mapping(state.get("intent")).get("state") == "Failed"
    # Attributes outlive their turn: of a turn that failed, an earlier success says nothing.
    if not outcome or (failed and outcome == "answered"):
        outcome, reason = "gateway_error", "function_failed"
    return BotReply(tuple(str(text) for text in texts if text), outcome, reason)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
