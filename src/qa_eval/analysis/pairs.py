"""The baseline and one candidate on the same questions: what a difference is computed on, and by which method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qa_eval.analysis.measures import Measure, difference, paired_values
from qa_eval.analysis.observations import Observations
from qa_eval.errors import InputError
from qa_eval.experiment.looks import EndedComparison
from qa_eval.statistics import Estimate


@dataclass(frozen=True)
class Pair:
    """The baseline and one candidate, both on the questions that are compared."""

    baseline: Observations
    candidate: Observations
    ended: EndedComparison | None = None
    """The design by which the run decided on this pair; None where all was asked."""

    def decides(self, measure: Measure) -> bool:
        """Whether the run's design decided by this measure."""
        return self.ended is not None and measure.score == self.ended.design.metric

    def difference(self, measure: Measure) -> Estimate:
        """Candidate minus baseline with its 95 % interval, by the run's design where that decided."""
        if self.ended is None or not self.decides(measure):
            return difference(measure, self.baseline, self.candidate)
        values = paired_values(measure, self.baseline, self.candidate)
        return self.ended.design.sequential.estimate(self.ended.look.number, *values)


def make_pairs(systems: Sequence[Observations], primary: Sequence[str]) -> tuple[Pair, ...]:
    """The baseline with each candidate, on the questions that all systems have.

    Where a run decided on its candidates by looks, each is on the questions that its last look has seen.

    Raises:
        InputError: There is no such question.
    """
    baseline, *candidates = systems
    ended = [_decided(baseline, candidate, primary) for candidate in candidates]
    together = None if any(ended) else [key for key in baseline.items if all(key in each.items for each in systems)]
    return tuple(_pair(baseline, *each, together) for each in zip(candidates, ended, strict=True))


def _decided(baseline: Observations, candidate: Observations, primary: Sequence[str]) -> EndedComparison | None:
    """The design that decided on exactly this pair, by the metric that is tested."""
    ended = candidate.ended
    if ended is None or tuple(primary) != (ended.design.metric,):
        return None
    return ended if baseline.origin == (ended.run_id, ended.baseline) else None


def _pair(
    baseline: Observations, candidate: Observations, ended: EndedComparison | None, together: Sequence[str] | None
) -> Pair:
    seen = baseline.items if ended is None else ended.examples
    keys = [key for key in seen if key in baseline.items and key in candidate.items] if together is None else together
    if not keys:
        names = f"{baseline.name} and {candidate.name}"
        raise InputError(f"{names} have no question in common: compare runs of one dataset.")
    return Pair(baseline.only(keys), candidate.only(keys), ended)
