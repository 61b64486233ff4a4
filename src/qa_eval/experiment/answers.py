"""One answer of a run: which question it answers, what became of it, and its scores once it has them."""

from __future__ import annotations

from dataclasses import dataclass

from qa_eval.data.examples import Example
from qa_eval.experiment.plan import CallKey
from qa_eval.metrics.base import Score
from qa_eval.targets.outcome import Reply
from qa_eval.tracing.context import TraceContext


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """One call of a judge: paid once, whichever answers it decides on."""

    key: str
    """What was asked of which model; see `JudgeRequest.key`."""
    metric: str
    """The metric that asked first."""
    model: str
    reply: Reply
    failure: str | None = None
    """Why it is no judgement: a name, a colon and the details."""
    system: str | None = None
    """The system whose answer is judged; None for a planted answer."""
    parent_span_id: str | None = None
    """The question's own span."""
    seq: int = 0
    """Its number in the journal."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one system replied to one question."""

    system: str
    example: Example
    reply: Reply
    scores: tuple[Score, ...] = ()
    """Those it has so far, in the order of the metrics."""
    scored: bool = False
    """Whether it has all scores of its run's metrics."""
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

    def find_score(self, name: str) -> Score | None:
        """One score, which may be an error; None where it has none of this name."""
        return next((score for score in self.scores if score.name == name), None)

    def score(self, name: str) -> float | None:
        """The value of one score; None where there is none."""
        found = self.find_score(name)
        return None if found is None else found.value
