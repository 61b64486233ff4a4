"""The interface of a bot: a message of a session in, messages out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BotReply:
    """The reply to one message."""

    messages: tuple[str, ...]
    """What the user reads: the answer in pieces, or why there is none."""
    outcome: str
    """`answered`, or another outcome, as experiments count it."""
    reason: str = ""
    """Why there is no answer, in one word such as `guardrail` or `http_429`."""

    @property
    def text(self) -> str:
        """All messages as one text; the bot removes the white space between them."""
        return "\n".join(self.messages)

    @property
    def answered(self) -> bool:
        """Whether the text is the model's answer."""
        return self.outcome == "answered"


class Bot(Protocol):
    """The deployed bot or the local one; thread-safe."""

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        """Send a message.

        Args:
            session_id: The conversation's id: 2 to 100 letters, digits and `._:-`.
            message: 1 to 1,024 characters.
            attributes: Lex's request attributes: `context`, which the model reads before the message, `max_tokens`
                and `traceparent`.

        Raises:
            ChatbotError: The bot cannot be reached. An error of the gateway is a reply.
        """
        ...


def read_response(response: Mapping[str, object]) -> BotReply:
    """The reply in a response of Lex or of the handler. A message of Lex itself counts as a failure of the function."""
    state = _mapping(response.get("sessionState"))
    attributes = _mapping(state.get("sessionAttributes"))
    messages = response.get("messages")
    texts = [_mapping(message).get("content") for message in messages] if isinstance(messages, list) else []
    outcome, reason = str(attributes.get("outcome", "")), str(attributes.get("reason", ""))
    failed = _mapping(state.get("intent")).get("state") == "Failed"
    # Session attributes persist: after a failed turn, an earlier `answered` is stale.
    if not outcome or (failed and outcome == "answered"):
        outcome, reason = "gateway_error", "function_failed"
    return BotReply(tuple(str(text) for text in texts if text), outcome, reason)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
