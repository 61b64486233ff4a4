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
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from qa_eval.blueprint.chatbot.handler import LONGEST_MESSAGE
from qa_eval.chatbot.bot import Bot, BotReply
from qa_eval.gateway.reply import Outcome, Reply

CONCURRENCY: Final = 25
"""Questions at once: what Lex serves on an alias."""


class ChatbotTarget:
    """Asks a bot as the engine asks a gateway."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="chatbot")

    async def ask(
        self,
        model: str,
        prompt: str,
        *,
        temperature: float,
        max_tokens: int,
        traceparent: str | None = None,
        trace_id: str | None = None,
    ) -> Reply:
        """Ask one question; every failure of the turn comes back as an outcome.

        Args:
            model: Names the experiment; which model answers is the bot's setting.
            prompt: The whole prompt.
            temperature: The bot's own counts.
            max_tokens: The bot's own counts.
            traceparent: W3C trace context that the gateway's spans join.
            trace_id: What the reply says of its trace.

        Raises:
            ChatbotError: The bot itself cannot be reached.
        """
        started_at = datetime.now(UTC)
        parts = divide(prompt)
        if parts is None:
            message = f"the prompt's last paragraph is longer than the {LONGEST_MESSAGE:,} characters of a message"
            return Reply(Outcome.REFUSED, "", started_at, 0.0, message, trace_id=trace_id)
        context, message = parts
        named = {"context": context, "traceparent": traceparent}
        attributes = {name: value for name, value in named.items() if value}
        loop = asyncio.get_running_loop()
        reply, seconds = await loop.run_in_executor(self._threads, self._say, message, attributes)
        return _as_reply(reply, started_at, seconds, trace_id)

    def _say(self, message: str, attributes: Mapping[str, str]) -> tuple[BotReply, float]:
        began = time.perf_counter()
        reply = self._bot.say(f"qa-eval-{uuid.uuid4()}", message, attributes)
        return reply, time.perf_counter() - began


def divide(prompt: str) -> tuple[str, str] | None:
    """A prompt as context and message, which an empty line divides; None where the last paragraph is too long."""
    start, at = 0, 0
    while len(prompt) - start > LONGEST_MESSAGE or not prompt[start:].strip():
        at = prompt.find("\n\n", start)
        if at < 0:
            return None
        start = at + 2
    return prompt[:at], prompt[start:]


def _as_reply(reply: BotReply, started_at: datetime, seconds: float, trace_id: str | None) -> Reply:
    known = reply.outcome in set(Outcome)
    outcome = Outcome(reply.outcome) if known else Outcome.INVALID_RESPONSE
    said = reply.text or reply.reason
    return Reply(
        outcome=outcome,
        text=reply.text if outcome.is_answer else "",
        started_at=started_at,
        latency_s=seconds,
        message="" if outcome.is_answer else said if outcome.is_blocked else f"{said} ({reply.reason})",
        trace_id=trace_id,
    )
