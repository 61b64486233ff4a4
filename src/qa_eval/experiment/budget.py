"""When a run stops before all is asked: too many failures, too expensive, too long."""

from __future__ import annotations

import time

from qa_eval.spec.model import LimitsSpec
from qa_eval.targets.outcome import Reply

_EARLY = 20
"""So many failures without a single answer: the target is broken, not the questions."""


class _Meter:
    """What one kind of call has used: answers, or judgements."""

    def __init__(self) -> None:
        self.sent = 0
        self.done = 0
        self.spent = 0.0

    def count(self, reply: Reply) -> None:
        """Count a reply."""
        self.done += 1
        self.spent += reply.cost_usd or 0.0

    def mean(self) -> float:
        """US dollars a call, so far."""
        return self.spent / self.done if self.done else 0.0


class Budget:
    """Counts what a run has used and decides when to stop asking. Requests in flight are still awaited."""

    def __init__(self, limits: LimitsSpec, total: int, *, judgements: int = 0, planted: int = 0) -> None:
        """
        Args:
            limits: When to stop.
            total: How many questions there are.
            judgements: How many judgements each answer takes, at most.
            planted: How many judgements there are of planted answers.
        """
        self._limits = limits
        self._total = total
        self._per_answer, self._planted = judgements, planted
        self._answering, self._judging = _Meter(), _Meter()
        self._misjudged = 0
        self._judges_broken = False
        self._start = time.monotonic()
        self._failed = 0
        self._answers = 0
        self.reason: str | None = None
        """Why to stop; None to continue."""

    def count(self, reply: Reply, *, earlier: bool = False) -> None:
        """Count a reply.

        Args:
            reply: What became of a question.
            earlier: It comes from before a resume: its cost counts, its failure does not stop the run again.
        """
        self._answering.count(reply)
        if earlier:
            self._answering.sent += 1
            return
        self._failed += reply.outcome.is_error
        self._answers += reply.outcome.is_answer
        self.reason = self.reason or self._too_many_errors(reply) or self._unknown_cost(reply)

    def count_judgement(self, reply: Reply, *, failed: str | None, earlier: bool = False) -> None:
        """Count a judgement.

        Args:
            reply: What the judge replied.
            failed: Why it is no judgement.
            earlier: It comes from before a resume.
        """
        self._judging.count(reply)
        if earlier:
            self._judging.sent += 1
            return
        self._misjudged += failed is not None
        self.reason = self.reason or self._too_many_misjudged(failed) or self._unknown_cost(reply)

    def reserve(self) -> bool:
        """Check time and cost: whether another question may be sent. If so, it counts as sent.

        Its judgements are paid for as well: they count as if they were sent.
        """
        answers = self._answering.sent + 1
        too_expensive = self._too_expensive(answers, self._planted + answers * self._per_answer)
        self.reason = self.reason or self._too_long() or too_expensive
        self._answering.sent += self.reason is None
        return self.reason is None

    def reserve_judgement(self) -> bool:
        """Check the cost: whether another judgement may be asked for. If so, it counts as sent."""
        if self._judges_broken:
            return False
        too_expensive = self._too_expensive(self._answering.sent, self._judging.sent + 1)
        self.reason = self.reason or too_expensive
        self._judging.sent += too_expensive is None
        return too_expensive is None

    @property
    def must_wait(self) -> bool:
        """Whether each answer has to be awaited: the cost of an answer, or of a judgement, is not known yet."""
        if self._limits.cost_usd is None:
            return False
        unknown = self._answering.done == 0 and self._answering.sent > 0
        return unknown or (self._per_answer > 0 and self._judging.done == 0)

    def _too_many_errors(self, reply: Reply) -> str | None:
        share = self._limits.errors
        broken = share < 1 and self._answers == 0 and self._failed >= _EARLY
        if self._failed <= share * self._total and not broken:
            return None
        return (
            f"{self._failed} of {self._answering.done} questions failed, more than the error limit of {share:.0%} "
            f"allows; the last: {reply.outcome}: {reply.message}"
        )

    def _too_many_misjudged(self, last: str | None) -> str | None:
        share = self._limits.errors
        judged = self._judging.done - self._misjudged
        broken = share < 1 and judged == 0 and self._misjudged >= _EARLY
        if last is None or (self._misjudged <= share * self._total * max(1, self._per_answer) and not broken):
            return None
        self._judges_broken = True
        return (
            f"{self._misjudged} of {self._judging.done} judgements failed, more than the error limit of {share:.0%} "
            f"allows; the last: {last}"
        )

    def _unknown_cost(self, reply: Reply) -> str | None:
        if self._limits.cost_usd is None or reply.cost_usd is not None or not reply.outcome.is_answer:
            return None
        return "an answer came without its cost, so the cost limit cannot be kept: leave the limit out."

    def _too_expensive(self, answers: int, judgements: int) -> str | None:
        """Whether so many calls would cost too much, those in flight at the mean of their kind."""
        limit, answering, judging = self._limits.cost_usd, self._answering, self._judging
        if limit is None or answering.done == 0:
            return None
        if answering.mean() * answers + judging.mean() * judgements <= limit:
            return None
        judged = f" and {judging.spent:.4f} USD on {judging.done} judgements" if judging.done else ""
        spent = f"{answering.spent:.4f} USD are spent on {answering.done} questions{judged}"
        return f"the cost limit of {limit:g} USD is reached: {spent}."

    def _too_long(self) -> str | None:
        limit = self._limits.time
        if limit is None or time.monotonic() - self._start < limit:
            return None
        return (
            f"the time limit of {limit:g} s is reached: {self._answering.done} of {self._total} questions are answered."
        )
