"""The chatbot, described once: CDK builds the Lex bot from it, and the local chat uses the same names."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

from qa_eval.blueprint.chatbot.lex import INTENTS

BOT_NAME: Final = "QAAssistant"
LOCALE: Final = "en_US"
IDLE_SESSION_S: Final = 300
"""Lex ends a session that is idle for so long."""
CONCURRENCY: Final = 25
"""Concurrent conversations that Lex allows on an alias."""
REGIONS: Final = (
    *("us-east-1", "us-west-2", "ca-central-1", "eu-west-1", "eu-west-2", "eu-central-1"),
    *("ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ap-northeast-2", "af-south-1"),
)
"""The regions with Amazon Lex V2. Source: its service endpoints in the AWS General Reference."""

FALLBACK_INTENT: Final = INTENTS[0]
"""The intent of every message that is not one of the utterances."""
ASK_INTENT: Final = INTENTS[1]
"""Lex builds a locale only with a custom intent that has utterances."""
UTTERANCES: Final = ("I have a question", "Can I ask you something", "Answer a question")

BOT_OUTPUT: Final = "ChatbotBotId"
ALIAS_OUTPUT: Final = "ChatbotAliasId"
MODEL_OUTPUT: Final = "ChatbotModel"
"""The stack outputs with the bot's id, its alias and its model group."""

ASSET_PACKAGE: Final = "chatbot"
"""The Python package in `asset_root()` that is the Lambda asset; nothing else of the folder is."""
HANDLER: Final = "chatbot.handler.lambda_handler"
"""The entry point inside the asset."""


def asset_root() -> Path:
    """The folder that contains the asset's package."""
    return Path(str(resources.files("qa_eval.blueprint")))
