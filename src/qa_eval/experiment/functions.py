"""The user's own functions of a run: tasks and custom metrics, from Python, from modules, from installed packages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qa_eval.data.examples import Example, SquadVersion
from qa_eval.errors import InputError
from qa_eval.metrics.base import Metric
from qa_eval.metrics.custom import check_name, installed, name_of
from qa_eval.metrics.judges import Judge, PreferenceJudge, check_rubric, judge_of
from qa_eval.metrics.phoenix_evals import (
    as_metric,
    definition_of_evaluator,
    is_evaluator,
    is_evaluator_class,
    judge_model,
)
from qa_eval.metrics.registry import build, is_own
from qa_eval.spec.functions import import_function
from qa_eval.spec.metrics import MetricSpec
from qa_eval.spec.model import ExperimentSpec, SystemSpec
from qa_eval.targets.function import TaskFunction


@dataclass(frozen=True)
class Functions:
    """The user's own functions of a run."""

    tasks: Mapping[str, TaskFunction] = field(default_factory=dict)
    """By the system's name."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """By the metric's name."""


def find_functions(
    spec: ExperimentSpec, folder: Path, tasks: Mapping[str, TaskFunction], metrics: Mapping[str, Metric]
) -> Functions:
    """The user's own functions: those given from Python, those found by module:function, and installed metrics.

    Raises:
        InputError: One cannot be found.
    """
    own = [metric for metric in spec.metrics if is_own(metric)]
    for metric in own:
        check_name(metric.name)
    return Functions(
        tasks={
            str(system.name): tasks.get(system.task) or _task(system.task, folder)
            for system in spec.systems
            if system.task is not None
        },
        metrics={metric.name: _as_function(metrics.get(metric.name) or _metric(metric, folder)) for metric in own},
    )


def find_metrics(spec: ExperimentSpec, folder: Path, given: Mapping[str, Metric], known: Collection[str]) -> Functions:
    """The user's own metrics of a run that is there, for `evaluate`.

    Args:
        spec: The run's, with what is added.
        folder: Where modules are searched.
        given: Functions by the metric's name.
        known: The metrics that the run has already: one that cannot be found again makes no more scores.

    Raises:
        InputError: A metric that is added cannot be found, or its name is taken.
    """
    own = [metric for metric in spec.metrics if is_own(metric)]
    for metric in own:
        check_name(metric.name)
    return Functions(metrics={metric.name: _found_again(metric, folder, given, known) for metric in own})


def _found_again(metric: MetricSpec, folder: Path, given: Mapping[str, Metric], known: Collection[str]) -> Metric:
    try:
        return _as_function(given.get(metric.name) or _metric(metric, folder))
    except InputError as problem:
        if metric.name not in known:
            raise
        error = problem

    def missing(example: Example, answer: str) -> float:
        raise error

    return missing


def _as_function(metric: Any) -> Metric:
    """A function, or an evaluator of phoenix.evals as one."""
    if isinstance(metric, type) and is_evaluator_class(metric):
        raise InputError(f"{metric.__name__} is a class of evaluators: give an object of it.")
    return as_metric(metric) if is_evaluator(metric) else metric


def built_in(spec: ExperimentSpec, version: SquadVersion) -> dict[str, Metric]:
    """The functions of the built-in metrics, by name.

    Raises:
        InputError: An option is unknown, missing or wrong.
    """
    built = {metric.name: build(metric, version) for metric in spec.metrics if not is_own(metric) and not metric.judge}
    return {name: function for name, function in built.items() if function is not None}


def find_judges(spec: ExperimentSpec, fields: Collection[str]) -> list[Judge | PreferenceJudge]:
    """The judges of a run.

    Args:
        spec: Its specification.
        fields: The dataset's fields, which rubrics may use.

    Raises:
        InputError: One has no model or no rubric, or uses a field that no example has.
    """
    judges = [judge for metric in spec.metrics if (judge := judge_of(metric, spec.judges)) is not None]
    for judge in judges:
        if isinstance(judge, Judge):
            check_rubric(judge, fields)
    return judges


def _task(address: str, folder: Path) -> TaskFunction:
    if ":" not in address:
        raise InputError(
            f"The task {address!r} is a function that was given from Python: give it again, with `task`, or name it "
            "as module:function in a specification."
        )
    return import_function(address, folder)


def _metric(metric: MetricSpec, folder: Path) -> Metric:
    if metric.python is None:
        return installed(metric.name)
    return import_function(metric.python, folder)


def callables(metrics: Any) -> Any:
    """The functions among the metrics; the rest are parts of the specification."""
    if metrics is None or _is_by_name(metrics):
        return metrics
    return [metric for metric in _several(metrics) if _is_function(metric)]


def specified(metrics: Any) -> list[Any]:
    """The metrics that are parts of the specification: names, mappings and `MetricSpec`s."""
    if metrics is None or _is_by_name(metrics):
        return []
    parts = [metric for metric in _several(metrics) if not _is_function(metric)]
    return [
        part.model_dump(mode="json", exclude_defaults=True) if isinstance(part, MetricSpec) else part for part in parts
    ]


def _is_function(value: Any) -> bool:
    """Whether something is a function of the user's, or an evaluator of phoenix.evals."""
    return callable(value) or is_evaluator(value)


def _is_by_name(metrics: Any) -> bool:
    """Whether this is a mapping of names to functions, and not one metric as a mapping."""
    return isinstance(metrics, Mapping) and all(map(_is_function, metrics.values()))


def _several(values: Any) -> Sequence[Any]:
    alone = isinstance(values, str | Mapping | MetricSpec) or _is_function(values)
    return [values] if alone else list(values)


def by_name(functions: Any) -> dict[str, Any]:
    """Functions by name: as given, or by their own names."""
    if functions is None:
        return {}
    if _is_by_name(functions):
        return dict(functions)
    named: dict[str, Any] = {}
    for function in _several(functions):
        name = name_of(function)
        if name in named:
            raise InputError(f"Two functions are called {name!r}: give them as a mapping of names to functions.")
        named[name] = function
    return named


def with_functions(
    spec: ExperimentSpec, tasks: Mapping[str, TaskFunction], metrics: Mapping[str, Metric]
) -> ExperimentSpec:
    """The specification with the functions as systems and metrics, where it does not name them already."""
    named = {system.task for system in spec.systems}
    systems = [SystemSpec(name=name, task=name) for name in tasks if name not in named]
    changes: dict[str, Any] = {}
    if systems:
        matrix = [SystemSpec(model=model) for model in spec.models]
        changes |= {"systems": (*spec.systems, *matrix, *systems), "models": (), "prompts": ()}
    known = {metric.name for metric in spec.metrics if is_own(metric)}
    added = tuple(_metric_spec(name, metric) for name, metric in metrics.items() if name not in known)
    if added:
        changes["metrics"] = (*spec.metrics, *added)
    return spec.model_copy(update=changes)


def _metric_spec(name: str, metric: Metric) -> MetricSpec:
    check_name(name)
    try:
        return MetricSpec(name=name, **(_described(metric) if is_evaluator(metric) else {}))
    except ValidationError:
        raise InputError(
            f"{name!r} cannot be a metric's name: give `metrics` as a mapping of names to functions."
        ) from None


def _described(evaluator: Any) -> dict[str, Any]:
    """What an evaluator says of itself, as a specification holds it."""
    definition = definition_of_evaluator(evaluator)
    return {
        "direction": "higher" if definition.higher_is_better else "lower",
        "range": definition.range,
        "needs": tuple(sorted(map(str, definition.needs))),
        "source": definition.source,
        "model": judge_model(evaluator),
    }
