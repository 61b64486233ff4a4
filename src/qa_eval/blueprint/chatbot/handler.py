"""Lambda's entry point, and one turn of a conversation: every event has a response, every failure too.

Environment: `LITELLM_ENDPOINT` (the gateway's base URL), `LITELLM_MODEL`, and `LITELLM_API_KEY` or
`LITELLM_API_KEY_SECRET_ARN`.

Nothing that a user or a model wrote is logged.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any, Protocol

from .gateway import Gateway, GatewaySettings
from .lex import Turn, read_turn, write_response
from .messages import NoAnswer

MARGIN_S = 2.0
"""Time that is kept of the Lambda's timeout, for the response."""

_log = logging.getLogger("qa_eval_chatbot")
_log.setLevel(logging.INFO)


class LambdaContext(Protocol):
    """The used part of Lambda's context object."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this call."""
        ...


class Chatbot:
    """Answers turns; it keeps the gateway's key and connections between them, and nothing else."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._gateway = Gateway(settings)

    def respond(self, event: Any, context: LambdaContext) -> dict[str, Any]:
        """The Lex V2 response to a Lex V2 event, before the Lambda's timeout; never raises."""
        began = time.monotonic()
        deadline = began + context.get_remaining_time_in_millis() / 1000 - MARGIN_S
        turn, answer = None, ""
        try:
            turn = read_turn(event)
            answer = self._gateway.answer(turn, deadline)
            failure = None
        except NoAnswer as error:
            failure = error
        except Exception as error:
            failure = NoAnswer("gateway_error", type(error).__name__)
        _log_turn(turn, answer, failure, time.monotonic() - began, context)
        return write_response(event, turn, answer, failure)


_chatbot: Chatbot | None = None


def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Answer one turn of a conversation; Lambda calls this."""
    global _chatbot
    if _chatbot is None:
        _chatbot = Chatbot(
            GatewaySettings(
                endpoint=os.environ.get("LITELLM_ENDPOINT", ""),
                model=os.environ.get("LITELLM_MODEL", ""),
                key=os.environ.get("LITELLM_API_KEY"),
                key_secret_arn=os.environ.get("LITELLM_API_KEY_SECRET_ARN"),
            )
        )
    return _chatbot.respond(event, context)


def _log_turn(turn: Turn | None, answer: str, failure: NoAnswer | None, seconds: float, context: LambdaContext) -> None:
    """One line for each turn. An alarm counts the lines of level ERROR: failures that the user did not cause."""
    line = {
        "outcome": failure.outcome if failure else "answered",
        "reason": failure.reason if failure else "",
        "seconds": round(seconds, 3),
        "question_characters": len(turn.message) if turn else None,
        "answer_characters": len(answer),
        "earlier_messages": len(turn.history) if turn else None,
        "request_id": context.aws_request_id,
    }
    expected = failure is None or turn is None or failure.outcome.startswith("blocked")
    _log.log(logging.INFO if expected else logging.ERROR, json.dumps(line))
