"""What of a system is compared, gated and reported: its metrics, shares, latency and cost, each under one name.

In: observations. Out: estimates with their intervals. A metric is the mean over the questions that have it; a question
without an answer counts 0 in those that compare with references. Shares are over all questions, 0 to 1; latency
and the time to the first token are quantiles of the answered questions, in seconds; cost is the mean for a question, in
US dollars.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from qa_eval.analysis.observations import Observation, Observations
from qa_eval.errors import InputError
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.spec.metrics import METRIC_ALIASES
from qa_eval.statistics import (
    Estimate,
    PairedDifference,
    Sample,
    mean_interval,
    paired_difference,
    quantile_difference,
    quantile_interval,
    share_interval,
)


class Unit(Enum):
    """How a number of a measure is written; the measure itself stays in 0 to 1, seconds or dollars."""

    POINTS = "points"
    PLAIN = ""
    """A metric's own scale."""
    SECONDS = "s"
    DOLLARS = "$"


def _latencies_of(observation: Observation) -> tuple[float, ...]:
    return observation.latencies


def _first_tokens_of(observation: Observation) -> tuple[float, ...]:
    return observation.first_tokens


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to compare."""

    name: str
    """As rules name it."""
    title: str
    unit: Unit
    higher_is_better: bool = True
    score: str = ""
    """The metric that it is the mean of, where it is one's."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """What its values cannot leave."""
    read: Callable[[Observation], float | None] | None = None
    """Its value for one question, where it is a mean; None where that is not known."""
    quantile: float = 0.0
    """The quantile, where it is one of times."""
    times: Callable[[Observation], tuple[float, ...]] = _latencies_of
    """The seconds that it is a quantile of."""
    is_optional: bool = False
    """Whether two systems without it need no note that it is not compared."""

    def number(self, value: float, *, sign: bool = False) -> str:
        """A value of this measure, with its unit."""
        plus = "+" if sign else ""
        match self.unit:
            case Unit.POINTS:
                return f"{100 * value:{plus}.1f}"
            case Unit.PLAIN:
                return f"{value:{plus}.3g}"
            case Unit.SECONDS:
                value = round(value, 4)  # no latency means anything below a tenth of a millisecond
                return f"{value:{plus}.3g} s" if abs(value) < 100 else f"{value:{plus}.0f} s"
            case Unit.DOLLARS:
                mark = "-" if value < 0 else plus
                return f"{mark}${abs(1000 * value):.3g}"


def _score(name: str) -> Callable[[Observation], float | None]:
    return lambda observation: observation.scores.get(name)


def _first_token(name: str, quantile: float) -> Measure:
    return Measure(
        f"{name}_first_token",
        f"{name} first token",
        Unit.SECONDS,
        higher_is_better=False,
        quantile=quantile,
        times=_first_tokens_of,
        is_optional=True,
    )


SHARES = (0.0, 1.0)
COMMON = {
    measure.name: measure
    for measure in (
        Measure("answered", "answered", Unit.POINTS, bounds=SHARES, read=lambda each: each.answered),
        Measure("failed", "failed", Unit.POINTS, higher_is_better=False, bounds=SHARES, read=lambda each: each.failed),
        Measure("p50_latency", "p50 latency", Unit.SECONDS, higher_is_better=False, quantile=0.5),
        Measure("p95_latency", "p95 latency", Unit.SECONDS, higher_is_better=False, quantile=0.95),
        _first_token("p50", 0.5),
        _first_token("p95", 0.95),
        Measure(
            "cost",
            "cost of 1,000 questions",
            Unit.DOLLARS,
            higher_is_better=False,
            bounds=(0.0, math.inf),
            read=lambda each: each.cost_usd,
        ),
    )
}
"""What every system has besides its metrics, by name."""
METRIC_NAMES = {name: alias for alias, name in METRIC_ALIASES.items()}
"""How rules and documents call Exact Match and similarity; their full names are understood too."""


def of_metric(definition: MetricDefinition) -> Measure:
    """The measure that is a metric's mean."""
    return Measure(
        METRIC_NAMES.get(definition.name, definition.name),
        definition.label,
        Unit.POINTS if definition.is_share else Unit.PLAIN,
        higher_is_better=definition.higher_is_better,
        score=definition.name,
        bounds=definition.range or (-math.inf, math.inf),
        read=_score(definition.name),
    )


def measures_of(definitions: Iterable[MetricDefinition]) -> dict[str, Measure]:
    """All measures, by name: those of some metrics, and those that every system has."""
    own = map(of_metric, definitions)
    return {**{measure.name: measure for measure in own}, **COMMON}


def find_measure(name: str, definitions: Iterable[MetricDefinition]) -> Measure:
    """The measure of this name.

    Raises:
        InputError: There is none.
    """
    measures = measures_of(definitions)
    measure = measures.get(METRIC_NAMES.get(name, name))
    if measure is None:
        raise InputError(f"There is no measure {name!r}: give one of {', '.join(measures)}.")
    return measure


def available(measure: Measure, system: Observations) -> bool:
    """Whether the system's source has what the measure needs.

    A metric is a mean over the questions that have it: a question without references has none that compares with them.
    """
    if measure.read is None:
        answered = [item for item in system.items.values() if item.answered]
        return any(map(measure.times, answered)) and all(measure.times(item) or item.queued for item in answered)
    known = _measured(measure, system)
    return bool(known) if measure.score else len(known) == len(system)


def system_value(measure: Measure, system: Observations, *, seed: int = 0) -> Estimate:
    """The measure of one system, with its 95 % interval."""
    if measure.read is None:
        return quantile_interval(_times(measure, list(system.items.values())), measure.quantile, seed=seed)
    items = [system.items[key] for key in _measured(measure, system)]
    estimate = mean_interval(_values(measure, items), _groups(items), seed=seed, bounds=measure.bounds)
    if estimate.low is not None or measure.unit is not Unit.POINTS:
        return estimate
    low, high = share_interval(estimate.estimate, estimate.effective_groups)
    method = "exact binomial interval, each group taken for one question"
    return replace(estimate, low=low, high=high, method=method)


def difference(measure: Measure, baseline: Observations, candidate: Observations, *, seed: int = 0) -> Estimate:
    """Candidate minus baseline on the same questions, with its 95 % interval; a `PairedDifference` for a mean.

    Times are compared on the questions that both answered.
    """
    if measure.read is None:
        pairs = [(item, candidate.items[key]) for key, item in baseline.items.items()]
        first, second = zip(*(pair for pair in pairs if all(map(measure.times, pair))), strict=True)
        return quantile_difference(_times(measure, first), _times(measure, second), measure.quantile, seed=seed)
    return paired_difference(*paired_values(measure, baseline, candidate), seed=seed)


def comparable(measure: Measure, baseline: Observations, candidate: Observations) -> str | None:
    """Why the two cannot be compared in this measure, as the end of a sentence; None where they can."""
    for system in (baseline, candidate):
        if not available(measure, system):
            return f"not known for every question of {system.name}"
    if measure.score == "semantic_similarity" and baseline.similarity != candidate.similarity:
        return "the embedders differ, or are not known"
    if measure.read is None:
        if not any(measure.times(item) and measure.times(candidate.items[key]) for key, item in baseline.items.items()):
            return "no question was answered by both without a queue"
    elif not _in_both(measure, baseline, candidate):
        return "no question has it in both"
    return None


def left_out(measure: Measure, baseline: Observations, candidate: Observations) -> int:
    """How many questions only one of the two has a value of: a metric compares those that both have."""
    if measure.read is None:
        return 0
    either = {*_measured(measure, baseline), *_measured(measure, candidate)}
    return len(either) - len(_in_both(measure, baseline, candidate))


def same_everywhere(estimate: Estimate) -> bool:
    """Whether two runs do not differ on a single question."""
    return isinstance(estimate, PairedDifference) and estimate.differing == 0


def paired_values(
    measure: Measure, baseline: Observations, candidate: Observations
) -> tuple[list[float], list[float], list[str]]:
    """The two systems' values of the same questions, and the questions' groups."""
    keys = _in_both(measure, baseline, candidate)
    first, second = [baseline.items[key] for key in keys], [candidate.items[key] for key in keys]
    return _values(measure, first), _values(measure, second), _groups(first)


def _in_both(measure: Measure, baseline: Observations, candidate: Observations) -> list[str]:
    """The questions that have a value in both systems, by id."""
    assert measure.read is not None, "a quantile has no values"
    return [key for key in _measured(measure, baseline) if measure.read(candidate.items[key]) is not None]


def _measured(measure: Measure, system: Observations) -> list[str]:
    """The questions of a system that have a value, by id."""
    assert measure.read is not None, "a quantile has no values"
    return [key for key, item in system.items.items() if measure.read(item) is not None]


def _values(measure: Measure, items: Sequence[Observation]) -> list[float]:
    assert measure.read is not None, "a quantile has no values"
    values = [value for item in items if (value := measure.read(item)) is not None]
    assert len(values) == len(items), "asked for after `comparable`"
    return values


def _groups(items: Iterable[Observation]) -> list[str]:
    return [item.question.group for item in items]


def _times(measure: Measure, items: Sequence[Observation]) -> Sample:
    pairs = [(seconds, item.question.group) for item in items for seconds in measure.times(item)]
    values = np.array([seconds for seconds, _ in pairs], dtype=np.float64)
    return Sample(values, tuple(group for _, group in pairs))
