"""The chatbot as a target: an experiment's questions go through it, and its answers are scored like any.

A chat message holds 1,024 characters, and a question on a text is longer. The prompt's last paragraphs go as the
message, as many as fit, and what stands before them as the request attribute `context`; the handler joins the two
again, so that the model reads the same prompt as from the gateway, after the chatbot's own instruction. Each question
is a conversation of its own.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from qa_eval.blueprint.bot import CONCURRENCY
from qa_eval.blueprint.chatbot.messages import LONGEST_MESSAGE
from qa_eval.chatbot.bot import Bot, BotReply
from qa_eval.data.examples import Example
from qa_eval.errors import ChatbotError
from qa_eval.spec.model import PromptSpec
from qa_eval.targets.base import Attempt
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.targets.prompt import render
from qa_eval.tracing.context import TraceContext


class ChatbotTarget:
    """A bot in front of one model group; a `Target`. The temperature is the bot's own, 0."""

    def __init__(self, bot: Bot, prompt: PromptSpec, max_tokens: int) -> None:
        """
        Args:
            bot: The deployed bot or the local one.
            prompt: One user message.
            max_tokens: Maximum number of output tokens.
        """
        self._bot = bot
        self._prompt = prompt
        self._max_tokens = max_tokens
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="chatbot")

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`."""
        started_at = datetime.now(UTC)
        (message,) = render(self._prompt, example)
        parts = divide(message["content"])
        if parts is None:
            problem = f"the prompt's last paragraph is longer than the {LONGEST_MESSAGE:,} characters of a message"
            return Attempt(Reply(Outcome.REFUSED, "", started_at, 0.0, message=problem))
        attributes = {"context": parts[0], "max_tokens": str(self._max_tokens)}
        attributes |= {"traceparent": trace.traceparent} if trace else {}
        given = {name: value for name, value in attributes.items() if value}
        loop = asyncio.get_running_loop()
        reply, seconds = await loop.run_in_executor(self._threads, _say, self._bot, parts[1], given)
        return _as_attempt(reply, started_at, seconds)


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
    start = time.perf_counter()
    try:
        reply = bot.say(f"qa-eval-{uuid.uuid4()}", message, attributes)
    except ChatbotError as error:
        reply = BotReply((str(error),), Outcome.GATEWAY_ERROR)
    return reply, time.perf_counter() - start


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
