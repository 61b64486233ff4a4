"""The deployed chatbot, through Amazon Lex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from botocore.config import Config
from botocore.exceptions import ClientError

from qa_eval.aws.client import aws_errors, client
from qa_eval.aws.deployed import stack_outputs
from qa_eval.blueprint import bot as blueprint
from qa_eval.blueprint import budgets
from qa_eval.blueprint.chatbot.messages import LONGEST_MESSAGE, TOO_LONG
from qa_eval.chatbot.bot import BotReply, read_response
from qa_eval.errors import ChatbotError

_OUTCOMES: Final = {
    "ThrottlingException": "rate_limited",
    "DependencyFailedException": "gateway_error",
    "BadGatewayException": "gateway_error",
    "InternalServerException": "gateway_error",
}
"""Lex's error codes that count as the outcome of a message; other codes raise."""


class LexBot:
    """One alias of a Lex V2 bot."""

    def __init__(self, bot_id: str, alias_id: str, model: str, region: str | None = None) -> None:
        """
        Args:
            bot_id: The bot's id, ten letters and digits.
            alias_id: The id of its alias.
            model: The model group that it uses, as set by the deployment.
            region: The bot's region; by default `AWS_REGION` or the AWS profile's.

        Raises:
            ChatbotError: No region is configured.
        """
        self.model = model
        # Lex waits 30 s for its function; a retry of ours would call the model twice.
        config = Config(
            connect_timeout=5, read_timeout=budgets.LEX + 10, retries={"total_max_attempts": 1}, max_pool_connections=32
        )
        with aws_errors(ChatbotError):
            self._client = client("lexv2-runtime", region, config)
        self._address = {"botId": bot_id, "botAliasId": alias_id, "localeId": blueprint.LOCALE}

    @classmethod
    def from_stack(cls, name: str, region: str | None = None) -> LexBot:
        """The bot of a deployed stack, found by the stack's outputs.

        Args:
            name: The stack's name.
            region: Its region; by default `AWS_REGION` or the AWS profile's.

        Raises:
            DeploymentError: The stack does not exist, or AWS refuses.
            ChatbotError: The stack has no chatbot.
        """
        outputs = stack_outputs(name, region)
        names = (blueprint.BOT_OUTPUT, blueprint.ALIAS_OUTPUT, blueprint.MODEL_OUTPUT)
        if not outputs.keys() >= set(names):
            raise ChatbotError(
                f"The stack {name!r} has no chatbot: check the name, or deploy it with the setting `chatbot: true`."
            )
        bot_id, alias_id, model = (outputs[name] for name in names)
        return cls(bot_id, alias_id, model, region)

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        """See `Bot.say`."""
        if len(message) > LONGEST_MESSAGE:
            return BotReply((TOO_LONG,), "refused", "too_long")
        with aws_errors(ChatbotError):
            try:
                response = self._client.recognize_text(
                    **self._address, sessionId=session_id, text=message, requestAttributes=dict(attributes or {})
                )
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code not in _OUTCOMES:
                    raise
                return BotReply((), _OUTCOMES[code], code)
        return read_response(response)
