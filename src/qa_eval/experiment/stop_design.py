"""When a run looks at its comparisons, planned before the first question."""

from __future__ import annotations

from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.experiment.metadata import RunMetadata, StopDesign
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.spec.metrics import METRIC_ALIASES
from qa_eval.spec.model import GateSpec
from qa_eval.spec.values import RULE
from qa_eval.statistics import ALPHA, MIN_GROUPS, planned_looks

DEFAULT_MARGIN = 0.02
"""Two points of a score of 0 to 1."""


def plan_stop(metadata: RunMetadata, dataset: Dataset) -> StopDesign | None:
    """The looks of a run; None where it does not stop early.

    Raises:
        InputError: Its comparisons cannot be decided early.
    """
    spec = metadata.spec
    if not spec.stop.early:
        return None
    if not metadata.candidates:
        raise InputError("`stop_early` compares systems, and there is one: give another with `models`.")
    if len(metadata.primary) != 1:
        raise InputError(
            f"`stop_early` decides by one metric, and {len(metadata.primary)} are primary: name one with `primary`."
        )
    definition = metadata.definitions[metadata.primary[0]]
    groups = len({example.group for example in dataset})
    if groups < MIN_GROUPS:
        raise InputError(f"`stop_early` takes at least {MIN_GROUPS} groups of examples, and there are {groups}.")
    limits = _limits(definition, spec.gate)
    margin = spec.stop.margin or next((abs(limit) for limit in limits if limit), None)
    if margin is None and not definition.is_share:
        raise InputError(f"`stop_early` needs `margin`: the smallest difference in {definition.name} that matters.")
    return StopDesign(
        metric=definition.name,
        looks=planned_looks(groups, spec.stop.looks),
        alpha=ALPHA / len(metadata.candidates),
        margin=margin or DEFAULT_MARGIN,
        gate=limits,
        bounds=definition.range,
    )


def _limits(definition: MetricDefinition, gate: GateSpec) -> tuple[float, ...]:
    """The limits of the gate's rules on the difference in this metric."""
    rules = [match for rule in gate.fail_on if (match := RULE.fullmatch(rule))]
    return tuple(float(rule[3]) for rule in rules if METRIC_ALIASES.get(rule[1], rule[1]) == definition.name)
