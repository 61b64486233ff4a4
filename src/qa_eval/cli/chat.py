"""`qa-eval chat`: one question, or a conversation. Answers go to standard output, everything else to standard error."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.errors import InputError

if TYPE_CHECKING:
    from qa_eval.chatbot.bot import Bot, BotReply


def command(
    question: Annotated[str | None, typer.Argument(help="The question; without it, a conversation.")] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Start the local stack where needed, and ask the handler here.")
    ] = False,
    stack: Annotated[str | None, typer.Option(metavar="NAME", help="A deployed stack: ask its Lex bot.")] = None,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask the handler here, with a running gateway; its key: QA_EVAL_GATEWAY_KEY."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model group of the gateway; not with --stack.  [default: qa]")
    ] = None,
) -> None:
    """Ask the chatbot: through Amazon Lex where it is deployed, through the same handler here.

    The bot remembers the last turns of a conversation; an empty line, `exit` or the end of the input ends it.
    """
    bot = _bot(local, stack, gateway, model)
    session = str(uuid.uuid4())
    if question is not None:
        if not _turn(bot, session, _checked(question)):
            raise typer.Exit(1)
        return
    for message in _messages():
        _turn(bot, session, message)


def _bot(local: bool, stack: str | None, gateway: str | None, model: str | None) -> Bot:
    if [local, stack is not None, gateway is not None].count(True) != 1:
        raise InputError("Say whom to ask: --local, --stack NAME or --gateway URL, one of them.")
    if stack is not None:
        if model is not None:
            raise InputError("--model does not go with --stack: the deployed bot has its own model.")
        from qa_eval.aws.lex import LexBot

        return LexBot.from_stack(stack)
    url, key = (gateway, os.environ.get("QA_EVAL_GATEWAY_KEY")) if gateway else _local_gateway()
    return _here(url, key, model or "qa")


def _local_gateway() -> tuple[str, str]:
    from qa_eval.stack import up

    running = up(on_progress=lambda line: typer.echo(line, err=True))
    return running.gateway_url, running.gateway_key


def _here(url: str, key: str | None, model: str) -> Bot:
    from qa_eval.chatbot.local import LocalBot
    from qa_eval.targets.gateway import GatewayClient

    async def check() -> str:
        async with GatewayClient(url, key) as client:
            await client.check([model])
            return client.url

    return LocalBot(f"{asyncio.run(check())}/v1", model, key)


def _messages() -> Iterator[str]:
    """What the user types, until there is no more."""
    prompt = "You: " if sys.stdin.isatty() else ""
    while True:
        try:
            message = input(prompt)
        except EOFError:
            return
        if message.strip().lower() in ("", "exit"):
            return
        yield message


def _turn(bot: Bot, session: str, message: str) -> bool:
    """One question and what is shown of its answer; whether there is one."""
    reply = bot.say(session, message)
    for text in reply.messages:
        typer.echo(text)
    if not reply.answered:
        typer.echo(f"No answer: {_why(reply)}.", err=True)
    return reply.answered


def _why(reply: BotReply) -> str:
    outcome = reply.outcome.replace("_", " ")
    return f"{outcome} ({reply.reason})" if reply.reason else outcome


def _checked(question: str) -> str:
    if not question.strip():
        raise InputError("The question is empty: type one, or leave it out for a conversation.")
    return question
