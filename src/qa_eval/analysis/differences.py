"""What differs between a candidate and the baseline: in each measure, and on which questions most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qa_eval.analysis.measures import MEASURES, Measure, comparable, difference, paired_values, system_value
from qa_eval.analysis.observations import Observation, Observations, Question
from qa_eval.statistics import (
    ALPHA,
    Estimate,
    PairedDifference,
    SampleSize,
    examples_needed,
    holm,
    minimum_detectable_difference,
)

WORTH_SHOWING = 0.02
"""The difference of a score, 0 to 1, for which the verdict says how many questions would show it."""
PLANNED_POWER = 0.87
"""What detectable differences and sample sizes are planned for, so that the gate's power is at least 0.8: its
interval is a little wider than the normal theory's behind the plan. `benchmarks/gate.py` measures it."""
CHANGED = 10
"""How many of the most changed questions are listed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One candidate against the baseline in one measure."""

    candidate: str
    measure: Measure
    before: Estimate
    """The baseline's own value."""
    after: Estimate
    """The candidate's own value."""
    estimate: Estimate
    """Candidate minus baseline."""
    p_value: float | None = None
    """Corrected by Holm's method over all scores and candidates; None for what is not tested."""
    detectable: float | None = None
    """The true difference of a score that a sample like this shows in 4 of 5 cases; None where it cannot be said."""
    needed: SampleSize | None = None
    """What it takes to show `WORTH_SHOWING`; scores only."""

    @property
    def is_score(self) -> bool:
        """Whether it is tested."""
        return bool(self.measure.score)

    @property
    def same(self) -> bool:
        """Whether the two do not differ on a single question."""
        return isinstance(self.estimate, PairedDifference) and self.estimate.differing == 0

    @property
    def shown(self) -> bool:
        """Whether the sample shows a difference: its interval leaves out 0 and, for a score, the test agrees."""
        low, high = self.estimate.low, self.estimate.high
        outside = low is not None and high is not None and not low <= 0.0 <= high
        if self.p_value is None:
            return outside
        return self.p_value <= ALPHA and (outside or low is None)

    @property
    def better(self) -> bool:
        """Whether the candidate's value is the better one."""
        return (self.estimate.estimate > 0) == self.measure.higher_is_better

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        estimate, needed = self.estimate, self.needed
        return {
            "candidate": self.candidate,
            "measure": self.measure.name,
            "baseline_value": self.before.estimate,
            "candidate_value": self.after.estimate,
            "difference": estimate.estimate,
            "low": estimate.low,
            "high": estimate.high,
            "confidence": estimate.confidence,
            "reason": estimate.reason,
            "method": estimate.method,
            "p_value": estimate.p_value if isinstance(estimate, PairedDifference) and self.is_score else None,
            "p_value_corrected": self.p_value,
            "differing": estimate.differing if isinstance(estimate, PairedDifference) else None,
            "shown": self.shown,
            "detectable": self.detectable,
            "needed": None if needed is None else {"difference": WORTH_SHOWING, **asdict(needed)},
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """A question on which a candidate does not score as the baseline does."""

    candidate: str
    question: Question
    before: Observation
    after: Observation

    @property
    def change(self) -> float:
        """Candidate minus baseline in the first score that differs, F1 first."""
        changes = (self.after.scores[name] - self.before.scores[name] for name in _changing(self.before, self.after))
        return next((change for change in changes if change), 0.0)

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        return {
            "candidate": self.candidate,
            "example_id": self.question.id,
            "group": self.question.group,
            "question": self.question.text,
            "references": list(self.question.references),
            "change": self.change,
            "baseline": _side(self.before),
            "candidate_answer": _side(self.after),
        }


def find_differences(baseline: Observations, candidates: Sequence[Observations]) -> tuple[list[Difference], list[str]]:
    """Every candidate's differences in every measure, and a sentence for each that cannot be compared."""
    differences: list[Difference] = []
    missing: dict[str, dict[str, None]] = {}
    before: dict[str, Estimate] = {}
    for candidate in candidates:
        for measure in MEASURES.values():
            problem = comparable(measure, baseline, candidate)
            if problem is not None:
                missing.setdefault(problem, {})[measure.title] = None
                continue
            if measure.name not in before:
                before[measure.name] = system_value(measure, baseline)
            differences.append(_difference(measure, before[measure.name], baseline, candidate))
    notes = [f"Not compared: {', '.join(titles)} ({problem})." for problem, titles in missing.items()]
    return differences, notes


def _difference(measure: Measure, before: Estimate, baseline: Observations, candidate: Observations) -> Difference:
    plain = Difference(
        candidate.name,
        measure,
        before,
        system_value(measure, candidate),
        difference(measure, baseline, candidate),
    )
    if not plain.is_score:
        return plain
    values = paired_values(measure, baseline, candidate)
    return replace(
        plain,
        detectable=minimum_detectable_difference(*values, power=PLANNED_POWER),
        needed=examples_needed(*values, WORTH_SHOWING, power=PLANNED_POWER),
    )


def corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Give the scores their corrected p-values."""
    tested = [
        each.estimate.p_value for each in differences if isinstance(each.estimate, PairedDifference) and each.is_score
    ]
    corrected = iter(holm(tested))
    return tuple(replace(each, p_value=next(corrected)) if each.is_score else each for each in differences)


def most_changed(baseline: Observations, candidates: Sequence[Observations], limit: int = CHANGED) -> list[Changed]:
    """The questions whose scores differ most, the largest change first; of equal ones, the first in the dataset."""
    changed = [
        Changed(candidate.name, item.question, item, candidate.items[key])
        for key, item in baseline.items.items()
        for candidate in candidates
    ]
    differing = [each for each in changed if each.change]
    return sorted(differing, key=lambda each: -abs(each.change))[:limit]


def _changing(before: Observation, after: Observation) -> list[str]:
    common = [name for name in before.scores if name in after.scores and name != "semantic_similarity"]
    return sorted(common, key=lambda name: name != "f1")


def _side(observation: Observation) -> dict[str, Any]:
    first = observation.answers[0]
    return {"answer": first.text, "outcome": str(first.outcome), "scores": dict(observation.scores)}
