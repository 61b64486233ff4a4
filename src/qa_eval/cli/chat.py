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
    question: Annotated[str | None, typer.Argument(help="The question; without it, start a conversation.")] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Use the handler on this machine, with the local stack.")
    ] = False,
    stack: Annotated[str | None, typer.Option(metavar="NAME", help="Use the Lex bot of a deployed stack.")] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Use the handler on this machine, with a running gateway; its key: QA_EVAL_GATEWAY_KEY."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model group of the gateway; not with --stack.  [default: qa]")
    ] = None,
) -> None:
    """Talk to the chatbot: the deployed one through Amazon Lex, or its handler on this machine.

    The bot remembers the last turns of a conversation. An empty line, `exit` or the end of input ends it.
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
        raise InputError("Give exactly one of --local, --stack NAME and --gateway URL.")
    if stack is not None:
        if model is not None:
            raise InputError("--model cannot be combined with --stack: the deployed bot has its own model.")
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
    """The user's messages, until the end of the conversation."""
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
    """Send a message and print the reply; return whether it is an answer."""
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
        raise InputError("The question is empty: give one, or leave it out for a conversation.")
    return question
