"""How a new gateway is reached beside the old one, and how each says what the chatbot asks of it.

In: the chatbot's model group. Out: names and the variable that the deployment and the canary's function agree on.
"""

from __future__ import annotations

import json
from typing import Final

from qa_eval.blueprint.chatbot.gateway import INSTRUCTION

HEADER: Final = "X-Qa-Eval-Canary"
"""The header whose secret value leads a request to the new gateway while both run."""
HOOK_VARIABLE: Final = "QA_EVAL_CANARY"
"""The variable of the canary's function that holds its settings, as JSON."""
RELEASE_VARIABLE: Final = "QA_EVAL_RELEASE"
"""The variable of the gateway's task that says what the chatbot asks of it, as JSON: a change is a new release."""


def release(model: str, chatbot: bool) -> str:
    """The value of `RELEASE_VARIABLE`.

    Args:
        model: The model group that is asked.
        chatbot: Whether there is a chatbot, whose instruction then precedes each question.
    """
    return json.dumps({"model": model, "instruction": INSTRUCTION if chatbot else None})
