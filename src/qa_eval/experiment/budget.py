"""When a run stops before all is asked: too many failures, too dear, too long."""

from __future__ import annotations

import time

from qa_eval.experiment.plan import Settings
from qa_eval.targets.outcome import Reply

_EARLY = 20
"""So many failures and no answer at all: the gateway is broken, not the questions."""


class Limits:
    """Counts what a run has come to and says when to stop asking. What is under way is still awaited."""

    def __init__(self, settings: Settings, total: int) -> None:
        self._settings = settings
        self._total = total
        self._start = time.monotonic()
        self._done = 0
        self._sent = 0
        self._failed = 0
        self._answers = 0
        self._spent = 0.0
        self.reason: str | None = None
        """Why to stop; None to go on."""

    def count(self, reply: Reply, *, earlier: bool = False) -> None:
        """Count a reply.

        Args:
            reply: What became of a question.
            earlier: It comes from before a resume: what it cost counts, that it failed does not stop again.
        """
        self._done += 1
        self._spent += reply.cost_usd or 0.0
        if earlier:
            self._sent += 1
            return
        self._failed += reply.outcome.is_error
        self._answers += reply.outcome.is_answer
        self.reason = self.reason or self._too_many_errors(reply) or self._unknown_cost(reply)

    def may_send(self) -> bool:
        """Look at the clock and the purse: whether another question may be sent. If so, it counts as sent."""
        self.reason = self.reason or self._too_long() or self._too_dear()
        self._sent += self.reason is None
        return self.reason is None

    @property
    def must_wait(self) -> bool:
        """Whether the first answer has to be awaited: what an answer costs is not known yet."""
        return self._settings.max_cost is not None and self._done == 0 and self._sent > 0

    def _too_many_errors(self, reply: Reply) -> str | None:
        share = self._settings.max_errors
        broken = share < 1 and self._answers == 0 and self._failed >= _EARLY
        if self._failed <= share * self._total and not broken:
            return None
        return (
            f"{self._failed} of {self._done} questions failed, more than --max-errors {share:.0%} allows; "
            f"the last: {reply.outcome}: {reply.message}"
        )

    def _unknown_cost(self, reply: Reply) -> str | None:
        if self._settings.max_cost is None or reply.cost_usd is not None or not reply.outcome.is_answer:
            return None
        return "the gateway does not say what an answer costs, so --max-cost cannot be kept: leave it out."

    def _too_dear(self) -> str | None:
        limit = self._settings.max_cost
        # What is under way, and one more, will cost about the mean.
        if limit is None or self._done == 0 or self._spent / self._done * (self._sent + 1) <= limit:
            return None
        return f"--max-cost {limit:g} USD is reached: {self._spent:.4f} USD are spent on {self._done} questions."

    def _too_long(self) -> str | None:
        limit = self._settings.max_time_s
        if limit is None or time.monotonic() - self._start < limit:
            return None
        return f"--max-time {limit:g} s is reached: {self._done} of {self._total} questions are answered."
