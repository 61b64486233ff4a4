"""The deployed chatbot, through Amazon Lex. Credentials are those of the AWS SDK, the region too, or AWS_REGION."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from qa_eval.blueprint import bot as blueprint
from qa_eval.blueprint import budgets
from qa_eval.blueprint.chatbot.handler import LONGEST_MESSAGE, TOO_LONG
from qa_eval.chatbot.bot import BotReply, read_response
from qa_eval.errors import ChatbotError

_BUSY = {"ThrottlingException": "rate_limited", "DependencyFailedException": "gateway_error"}
_BUSY |= {"BadGatewayException": "gateway_error", "InternalServerException": "gateway_error"}


class LexBot:
    """One alias of a Lex V2 bot."""

    def __init__(self, bot_id: str, alias_id: str, model: str) -> None:
        """
        Args:
            bot_id: The bot's id, ten letters and digits.
            alias_id: The id of its alias.
            model: The model group that it asks; the deployment decides it.
        """
        self.model = model
        # Lex waits 30 s for its function; a second try of ours would ask the model twice.
        config = Config(
            connect_timeout=5, read_timeout=budgets.LEX + 10, retries={"total_max_attempts": 1}, max_pool_connections=32
        )
        self._client = _client("lexv2-runtime", config)
        self._names = {"botId": bot_id, "botAliasId": alias_id, "localeId": blueprint.LOCALE}

    @classmethod
    def of_stack(cls, name: str) -> LexBot:
        """The bot of a deployed stack, found by the stack's outputs.

        Raises:
            ChatbotError: There is no such stack, it has no chatbot, or AWS cannot be asked.
        """
        try:
            (stack,) = _client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except (BotoCoreError, ClientError) as error:
            raise ChatbotError(f"The stack {name!r} cannot be looked up: {_sentence(error)}") from None
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        names = (blueprint.BOT_OUTPUT, blueprint.ALIAS_OUTPUT, blueprint.MODEL_OUTPUT)
        if not outputs.keys() >= set(names):
            raise ChatbotError(f"The stack {name!r} has no chatbot: name the stack that `qa-eval infra deploy` made.")
        return cls(*(outputs[name] for name in names))

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        """See `Bot.say`."""
        if len(message) > LONGEST_MESSAGE:
            return BotReply((TOO_LONG,), "refused", "too_long")
        try:
            response = self._client.recognize_text(
                **self._names, sessionId=session_id, text=message, requestAttributes=dict(attributes or {})
            )
        except ClientError as error:
            outcome = _BUSY.get(error.response["Error"]["Code"])
            if outcome is None:
                raise ChatbotError(f"Lex refuses the message: {_sentence(error)}") from None
            return BotReply((), outcome, error.response["Error"]["Code"])
        except BotoCoreError as error:
            raise ChatbotError(f"Lex cannot be asked: {_sentence(error)}") from None
        return read_response(response)


def _client(service: str, config: Config | None = None) -> Any:
    try:
        # Most SDKs read AWS_REGION; this one reads AWS_DEFAULT_REGION only.
        session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        return session.client(service, config=config)
    except BotoCoreError as error:
        raise ChatbotError(f"AWS cannot be asked: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    """What the SDK says, as one sentence, with what to do where it is known."""
    text = str(error).rstrip(".")
    name = type(error).__name__
    if name == "NoRegionError":
        return f"{text}; set AWS_REGION to the stack's."
    if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "TokenRetrievalError"):
        return f"{text}; sign in, or set AWS_PROFILE."
    return f"{text}."
