"""The chatbot in the place of a model: an experiment's questions go through it, and its answers are scored like any.

A chat message holds 1,024 characters, and a question on a text is longer. Its last paragraphs go as the message, as
many as fit, and what stands before them as the request attribute `context`; the handler puts the two together again,
so that the model reads the very prompt that the gateway would get, after the chatbot's own instruction. Each question
is a conversation of its own.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache

from qa_eval.aws.lex import LexBot
from qa_eval.blueprint.bot import CONCURRENCY
from qa_eval.blueprint.chatbot.messages import LONGEST_MESSAGE
from qa_eval.chatbot.bot import Bot, BotReply
from qa_eval.chatbot.local import LocalBot
from qa_eval.errors import ChatbotError, InputError
from qa_eval.targets.outcome import Attempt, Outcome, Reply


class ChatbotTarget:
    """Asks bots as the engine asks a gateway; an `Asker`."""

    def __init__(self, bot_of: Callable[[str], Bot]) -> None:
        """
        Args:
            bot_of: The bot in front of a model group; called once for each.
        """
        self._bot_of = cache(bot_of)
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="chatbot")

    async def ask(
        self,
        model: str,
        prompt: str,
        *,
        temperature: float,
        max_tokens: int,
        traceparent: str | None = None,
    ) -> Attempt:
        """Ask once; see `Asker`. The temperature is the bot's own, 0."""
        started_at = datetime.now(UTC)
        parts = divide(prompt)
        if parts is None:
            problem = f"the prompt's last paragraph is longer than the {LONGEST_MESSAGE:,} characters of a message"
            return Attempt(Reply(Outcome.REFUSED, "", started_at, 0.0, message=problem))
        named = {"context": parts[0], "max_tokens": str(max_tokens), "traceparent": traceparent}
        attributes = {name: value for name, value in named.items() if value}
        loop, bot = asyncio.get_running_loop(), self._bot_of(model)
        reply, seconds = await loop.run_in_executor(self._threads, _say, bot, parts[1], attributes)
        return _as_attempt(reply, started_at, seconds)


def in_front_of_gateway(url: str, key: str | None, seconds: float) -> ChatbotTarget:
    """The chatbot's handler, here, in front of a gateway; each model group has a bot of its own.

    Args:
        url: The gateway's base URL, without `/v1`.
        key: Its key; None where it needs none.
        seconds: What an answer may take. The 28 s of the deployed function would measure the machine here.
    """
    return ChatbotTarget(lambda model: LocalBot(f"{url}/v1", model, key, seconds=seconds))


def in_lex(stack: str, models: Sequence[str]) -> ChatbotTarget:
    """The chatbot of a deployed stack.

    Raises:
        ChatbotError: The stack has no chatbot.
        DeploymentError: The stack cannot be found.
        InputError: It asks another model than the experiment names.
    """
    bot = LexBot.from_stack(stack)
    if list(models) != [bot.model]:
        raise InputError(f"The chatbot of {stack!r} asks {bot.model}: give --model {bot.model}, and no other.")
    return ChatbotTarget(lambda model: bot)


def divide(prompt: str) -> tuple[str, str] | None:
    """A prompt as context and message, which an empty line divides; None where the last paragraph is too long."""
    start, at = 0, 0
    while len(prompt) - start > LONGEST_MESSAGE or not prompt[start:].strip():
        at = prompt.find("\n\n", start)
        if at < 0:
            return None
        start = at + 2
    return prompt[:at], prompt[start:]


def _say(bot: Bot, message: str, attributes: Mapping[str, str]) -> tuple[BotReply, float]:
    began = time.perf_counter()
    try:
        reply = bot.say(f"qa-eval-{uuid.uuid4()}", message, attributes)
    except ChatbotError as error:
        reply = BotReply((str(error),), Outcome.GATEWAY_ERROR)
    return reply, time.perf_counter() - began


def _as_attempt(reply: BotReply, started_at: datetime, seconds: float) -> Attempt:
    outcome = Outcome(reply.outcome) if reply.outcome in set(Outcome) else Outcome.INVALID_RESPONSE
    problem = reply.text if outcome.is_blocked or not reply.reason else f"{reply.text} ({reply.reason})"
    unreachable = reply.reason == "unreachable"
    return Attempt(
        Reply(
            outcome=outcome,
            text=reply.text if outcome.is_answer else "",
            started_at=started_at,
            latency_s=seconds,
            message="" if outcome.is_answer else problem.strip(),
        ),
        retry=unreachable or outcome is Outcome.RATE_LIMITED,
        unreachable=unreachable,
    )
