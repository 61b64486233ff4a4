"""What differs between a candidate and the baseline: in each measure, and on which questions most."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qa_eval.analysis.measures import (
    COMMON,
    Measure,
    Unit,
    available,
    comparable,
    left_out,
    measures_of,
    paired_values,
    system_value,
)
from qa_eval.analysis.observations import Observation, Observations, Question
from qa_eval.analysis.pairs import Pair
from qa_eval.experiment.looks import EndedComparison
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.registry import SIMILARITY
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
    tested: bool = False
    """Whether it is one of the primary metrics, chosen before, whose differences are tested."""
    p_value: float | None = None
    """Corrected by Holm's method over the primary metrics and all candidates; None for what is not tested."""
    claims: int = 1
    """How many differences are tested together, and corrected for."""
    detectable: float | None = None
    """The true difference of a metric that a sample like this shows in 4 of 5 cases; None where it cannot be said."""
    needed: SampleSize | None = None
    """What it takes to show `WORTH_SHOWING`; metrics of 0 to 1 only."""
    ended: EndedComparison | None = None
    """The looks that decided on it, where the run looked: interval and p-value allow for them."""

    @property
    def is_score(self) -> bool:
        """Whether it is a metric's."""
        return bool(self.measure.score)

    @property
    def same(self) -> bool:
        """Whether the two do not differ on a single question."""
        return isinstance(self.estimate, PairedDifference) and self.estimate.differing == 0

    @property
    def shown(self) -> bool:
        """Whether the sample shows a difference: its interval leaves out 0 and, if it is tested, the test agrees."""
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
            "tested": self.tested,
            "p_value": estimate.p_value if isinstance(estimate, PairedDifference) and self.is_score else None,
            "p_value_corrected": self.p_value,
            "differing": estimate.differing if isinstance(estimate, PairedDifference) else None,
            "shown": self.shown,
            "detectable": self.detectable,
            "decision": None if self.ended is None else self.ended.look.decision,
            "needed": None if needed is None else {"difference": WORTH_SHOWING, **asdict(needed)},
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """A question on which a candidate does not score as the baseline does."""

    candidate: str
    question: Question
    measure: Measure
    """The first metric that differs, the primary ones first."""
    before: Observation
    after: Observation
    change: float
    """Candidate minus baseline in it."""

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        return {
            "candidate": self.candidate,
            "example_id": self.question.id,
            "group": self.question.group,
            "question": self.question.text,
            "references": list(self.question.references),
            "measure": self.measure.name,
            "change": self.change,
            "baseline": _side(self.before),
            "candidate_answer": _side(self.after),
        }


def find_differences(pairs: Sequence[Pair], primary: Collection[str]) -> tuple[list[Difference], list[str]]:
    """Every candidate's differences in every measure, and a sentence for each that cannot be compared, or not whole.

    Args:
        pairs: The baseline with each candidate.
        primary: The metrics whose differences are tested.
    """
    differences: list[Difference] = []
    missing: dict[str, dict[str, None]] = {}
    notes: list[str] = []
    for pair in pairs:
        baseline, candidate = pair.baseline, pair.candidate
        for measure in measures_of(all_definitions((baseline, candidate))).values():
            if measure.is_optional and not any(available(measure, each) for each in (baseline, candidate)):
                continue
            problem = comparable(measure, baseline, candidate)
            if problem is not None:
                missing.setdefault(problem, {})[measure.title] = None
                continue
            found = _difference(measure, pair, _of_baseline(measure, differences, pair))
            differences.append(replace(found, tested=measure.score in primary))
            if alone := left_out(measure, baseline, candidate):
                notes.append(f"{measure.title}: {alone:,} questions have it in one system only and are left out.")
            if measure is COMMON["cost"] and _lacks_guardrail(baseline) != _lacks_guardrail(candidate):
                notes.append(
                    f"{measure.title}: LiteLLM's gateway leaves its guardrail's price out of streamed answers."
                )
    not_compared = [f"Not compared: {', '.join(titles)} ({problem})." for problem, titles in missing.items()]
    return differences, [*dict.fromkeys(notes), *not_compared]


def _of_baseline(measure: Measure, differences: Sequence[Difference], pair: Pair) -> Estimate:
    """The baseline's own value: computed once where all candidates are compared on the same questions."""
    known = None if pair.ended else next((each for each in differences if each.measure.name == measure.name), None)
    return known.before if known is not None else system_value(measure, pair.baseline)


def _lacks_guardrail(system: Observations) -> bool:
    """Whether the cost of a system's answers is that of a gateway's streams."""
    return system.config.get("via") != "litellm" and available(COMMON["p50_first_token"], system)


def all_definitions(systems: Iterable[Observations]) -> list[MetricDefinition]:
    """The metrics that some systems have, in their order."""
    found: dict[str, MetricDefinition] = {}
    for system in systems:
        for name, definition in system.definitions.items():
            found.setdefault(name, definition)
    return list(found.values())


def _difference(measure: Measure, pair: Pair, before: Estimate) -> Difference:
    plain = Difference(
        pair.candidate.name,
        measure,
        before,
        system_value(measure, pair.candidate),
        pair.difference(measure),
        ended=pair.ended if pair.decides(measure) else None,
    )
    if not plain.is_score:
        return plain
    values = paired_values(measure, pair.baseline, pair.candidate)
    points = measure.unit is Unit.POINTS
    return replace(
        plain,
        detectable=minimum_detectable_difference(*values, power=PLANNED_POWER),
        needed=examples_needed(*values, WORTH_SHOWING, power=PLANNED_POWER) if points else None,
    )


def corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Give the tested metrics their corrected p-values."""
    tested = [
        each.estimate.p_value for each in differences if isinstance(each.estimate, PairedDifference) and each.tested
    ]
    p_values = iter(holm(tested))
    return tuple(
        replace(each, p_value=next(p_values), claims=len(tested)) if each.tested else each for each in differences
    )


def most_changed(pairs: Sequence[Pair], primary: Sequence[str], limit: int = CHANGED) -> list[Changed]:
    """The questions whose scores differ most, the largest change first; of equal ones, the first in the dataset."""
    systems = (pairs[0].baseline, *(pair.candidate for pair in pairs))
    shares = [each for each in measures_of(all_definitions(systems)).values() if _is_shown(each)]
    shares.sort(key=lambda measure: measure.score not in primary)
    changed = [
        (-abs(found.change), place, found)
        for pair in pairs
        for place, (key, item) in enumerate(pair.baseline.items.items())
        if (found := _changed(pair.candidate.name, item, pair.candidate.items[key], shares)) is not None
    ]
    return [found for *_, found in sorted(changed, key=lambda each: each[:2])[:limit]]


def _is_shown(measure: Measure) -> bool:
    """Whether a question's change in it is worth a line: metrics of 0 to 1; similarity always differs a little."""
    return bool(measure.score) and measure.unit is Unit.POINTS and measure.score != SIMILARITY


def _changed(candidate: str, before: Observation, after: Observation, measures: Sequence[Measure]) -> Changed | None:
    """The change in the first of some measures in which a question differs."""
    for measure in measures:
        first, second = before.scores.get(measure.score), after.scores.get(measure.score)
        if first is not None and second is not None and first != second:
            return Changed(candidate, before.question, measure, before, after, second - first)
    return None


def _side(observation: Observation) -> dict[str, Any]:
    first = observation.answers[0]
    return {"answer": first.text, "outcome": str(first.outcome), "scores": dict(observation.scores)}
