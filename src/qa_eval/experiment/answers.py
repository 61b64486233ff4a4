"""One answer of a run: which question it answers, what became of it, and its scores once it has them."""

from __future__ import annotations

from dataclasses import dataclass

from qa_eval.data.examples import Example
from qa_eval.experiment.plan import CallKey
from qa_eval.metrics.base import Score
from qa_eval.targets.outcome import Reply
from qa_eval.tracing.context import TraceContext


@dataclass(frozen=True, slots=True)
class Answer:
    """What one system replied to one question."""

    system: str
    example: Example
    reply: Reply
    scores: tuple[Score, ...] | None = None
    """None until it is scored."""
    repetition: int = 1
    seq: int = 0
    """Its number in the journal, in the order of arrival."""

    @property
    def key(self) -> CallKey:
        """What distinguishes its question from all others of its run."""
        return self.system, self.example.id, self.repetition

    @property
    def trace(self) -> TraceContext | None:
        """Its question's trace; None where nothing was traced."""
        reply = self.reply
        return TraceContext(reply.trace_id, reply.span_id, self.system) if reply.trace_id and reply.span_id else None

    def score(self, name: str) -> float | None:
        """The value of one score; None where there is none."""
        return next((score.value for score in self.scores or () if score.name == name), None)
