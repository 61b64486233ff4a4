"""The chatbot on this machine: the deployed handler, with the events of Lex.

As in Lex, session attributes are kept between turns and expire with an idle session. Lex's recognition of intents is
not simulated: every message has the fallback intent.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qa_eval.blueprint import bot as blueprint
from qa_eval.blueprint import budgets
from qa_eval.blueprint.chatbot.gateway import GatewaySettings
from qa_eval.blueprint.chatbot.handler import Chatbot
from qa_eval.chatbot.bot import BotReply, read_response

# On AWS the handler's log goes to CloudWatch; in a terminal it would appear between the lines of a conversation.
logging.getLogger("qa_eval_chatbot").addHandler(logging.NullHandler())


@dataclass
class _Invocation:
    """Lambda's context object of one call."""

    deadline: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self.deadline - time.monotonic())))


class LocalBot:
    """A bot in this process, with one gateway."""

    def __init__(self, endpoint: str, model: str, key: str | None, *, seconds: float = budgets.LAMBDA) -> None:
        """
        Args:
            endpoint: The gateway's base URL.
            model: The model group that answers.
            key: The gateway's key; None where it needs none.
            seconds: Timeout of a turn; the deployed function has 28.
        """
        self._handler = Chatbot(GatewaySettings(endpoint=endpoint, model=model, key=key))
        self._seconds = seconds
        self._sessions: dict[str, tuple[float, dict[str, str]]] = {}

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        """See `Bot.say`."""
        event = lex_event(session_id, message, self._remembered(session_id), attributes or {})
        response = self._handler.respond(event, _Invocation(time.monotonic() + self._seconds))
        self._sessions[session_id] = (time.monotonic(), response["sessionState"]["sessionAttributes"])
        return read_response(response)

    def _remembered(self, session_id: str) -> dict[str, str]:
        oldest = time.monotonic() - blueprint.IDLE_SESSION_S
        self._sessions = {name: session for name, session in list(self._sessions.items()) if session[0] >= oldest}
        return self._sessions.get(session_id, (0.0, {}))[1]


def lex_event(
    session_id: str, message: str, session_attributes: Mapping[str, str], request_attributes: Mapping[str, str]
) -> dict[str, Any]:
    """The event that Lex V2 sends to its fulfilment function for a typed message."""
    intent = {
        "name": blueprint.FALLBACK_INTENT,
        "slots": {},
        "state": "ReadyForFulfillment",
        "confirmationState": "None",
    }
    return {
        "messageVersion": "1.0",
        "invocationSource": "FulfillmentCodeHook",
        "inputMode": "Text",
        "responseContentType": "text/plain; charset=utf-8",
        "sessionId": session_id,
        "inputTranscript": message,
        "bot": {
            "id": "LOCALLOCAL",
            "name": blueprint.BOT_NAME,
            "aliasId": "LOCALLOCAL",
            "aliasName": "local",
            "localeId": blueprint.LOCALE,
            "version": "DRAFT",
        },
        "interpretations": [{"intent": intent, "interpretationSource": "Lex"}],
        "sessionState": {
            "sessionAttributes": dict(session_attributes),
            "activeContexts": [],
            "intent": intent,
            "originatingRequestId": str(uuid.uuid4()),
        },
        "requestAttributes": dict(request_attributes),
    }
