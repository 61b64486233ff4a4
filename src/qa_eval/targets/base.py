"""What a target is: it produces an answer for an example. The engine knows nothing else of gateways and functions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from qa_eval.data.examples import Example
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.targets.prompt import declines
from qa_eval.tracing.context import TraceContext

TIMEOUT_S = 120.0
"""How long one try may take by default; it leaves a gateway its own tries."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one try: a reply, and whether and when to try again."""

    reply: Reply
    retry: bool = False
    """Nothing was answered and nothing was paid, so that trying again is right."""
    retry_after_s: float | None = None
    """When the target wants the next try, where it says so."""
    unreachable: bool = False
    """No connection: the question did not get there at all."""


class Target(Protocol):
    """Produces answers: a model behind a gateway, a chatbot, a function. Model, prompt and parameters are its own."""

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """Try once. Every failure is returned as an outcome, none is raised.

        Args:
            example: The question, with all that a prompt may use of it.
            trace: The trace that the other side's spans join; None traces nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class DecliningTarget:
    """A target on SQuAD v2.0, whose prompt offers `unanswerable`: that answer is an outcome of its own."""

    target: Target

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`."""
        attempt = await self.target.generate(example, trace)
        if attempt.reply.outcome is Outcome.ANSWERED and declines(attempt.reply.text):
            return replace(attempt, reply=replace(attempt.reply, outcome=Outcome.NO_ANSWER, text=""))
        return attempt
