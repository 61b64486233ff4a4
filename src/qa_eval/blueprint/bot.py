"""The chatbot, described once: CDK builds the Lex bot from this, and the local chat speaks with the same names."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from qa_eval.blueprint.chatbot.handler import INTENTS

BOT_NAME: Final = "QAAssistant"
LOCALE: Final = "en_US"
IDLE_SESSION_S: Final = 300
"""Lex forgets a conversation after so long."""

CONCURRENCY: Final = 25
"""Concurrent conversations that Lex allows on an alias."""

FALLBACK_INTENT: Final = INTENTS[0]
"""Where every question goes that is not one of the utterances."""
ASK_INTENT: Final = INTENTS[1]
"""Lex does not build a locale without a custom intent that has utterances."""
UTTERANCES: Final = ("I have a question", "Can I ask you something", "Answer a question")

BOT_OUTPUT: Final = "ChatbotBotId"
ALIAS_OUTPUT: Final = "ChatbotAliasId"
MODEL_OUTPUT: Final = "ChatbotModel"
"""The stack outputs that tell `qa-eval` where the bot is, and whom it asks."""


def asset_folder() -> Path:
    """The folder that Lambda runs; its handler is `handler.lambda_handler`."""
    return Path(str(resources.files("qa_eval.blueprint"))) / "chatbot"
