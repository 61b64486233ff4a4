"""When a run stops before all is asked: too many failures, too expensive, too long."""

from __future__ import annotations

import time

from qa_eval.spec.model import LimitsSpec
from qa_eval.targets.outcome import Reply

_EARLY = 20
"""So many failures without a single answer: the target is broken, not the questions."""


class Budget:
    """Counts what a run has used and decides when to stop asking. Requests in flight are still awaited."""

    def __init__(self, limits: LimitsSpec, total: int) -> None:
        self._limits = limits
        self._total = total
        self._start = time.monotonic()
        self._done = 0
        self._sent = 0
        self._failed = 0
        self._answers = 0
        self._spent = 0.0
        self.reason: str | None = None
        """Why to stop; None to continue."""

    def count(self, reply: Reply, *, earlier: bool = False) -> None:
        """Count a reply.

        Args:
            reply: What became of a question.
            earlier: It comes from before a resume: its cost counts, its failure does not stop the run again.
        """
        self._done += 1
        self._spent += reply.cost_usd or 0.0
        if earlier:
            self._sent += 1
            return
        self._failed += reply.outcome.is_error
        self._answers += reply.outcome.is_answer
        self.reason = self.reason or self._too_many_errors(reply) or self._unknown_cost(reply)

    def reserve(self) -> bool:
        """Check time and cost: whether another question may be sent. If so, it counts as sent."""
        self.reason = self.reason or self._too_long() or self._too_expensive()
        self._sent += self.reason is None
        return self.reason is None

    @property
    def must_wait(self) -> bool:
        """Whether the first answer has to be awaited: the cost of an answer is not known yet."""
        return self._limits.cost_usd is not None and self._done == 0 and self._sent > 0

    def _too_many_errors(self, reply: Reply) -> str | None:
        share = self._limits.errors
        broken = share < 1 and self._answers == 0 and self._failed >= _EARLY
        if self._failed <= share * self._total and not broken:
            return None
        return (
            f"{self._failed} of {self._done} questions failed, more than the error limit of {share:.0%} allows; "
            f"the last: {reply.outcome}: {reply.message}"
        )

    def _unknown_cost(self, reply: Reply) -> str | None:
        if self._limits.cost_usd is None or reply.cost_usd is not None or not reply.outcome.is_answer:
            return None
        return "an answer came without its cost, so the cost limit cannot be kept: leave the limit out."

    def _too_expensive(self) -> str | None:
        limit = self._limits.cost_usd
        # Those in flight, and one more, will cost about the mean.
        if limit is None or self._done == 0 or self._spent / self._done * (self._sent + 1) <= limit:
            return None
        return f"the cost limit of {limit:g} USD is reached: {self._spent:.4f} USD are spent on {self._done} questions."

    def _too_long(self) -> str | None:
        limit = self._limits.time
        if limit is None or time.monotonic() - self._start < limit:
            return None
        return f"the time limit of {limit:g} s is reached: {self._done} of {self._total} questions are answered."
