"""The user's own functions of a run: tasks and custom metrics, from Python, from modules, from installed packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qa_eval.errors import InputError
from qa_eval.metrics.base import Metric
from qa_eval.metrics.custom import check_name, installed, name_of
from qa_eval.spec.functions import import_function
from qa_eval.spec.model import ExperimentSpec, MetricSpec, SystemSpec
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
    for name in (metric.name for metric in spec.metrics if not metric.built_in):
        check_name(name)
    return Functions(
        tasks={
            str(system.name): tasks.get(system.task) or _task(system.task, folder)
            for system in spec.systems
            if system.task is not None
        },
        metrics={
            metric.name: metrics.get(metric.name) or _metric(metric, folder)
            for metric in spec.metrics
            if not metric.built_in
        },
    )


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
    """The functions among the metrics; the rest are names."""
    if metrics is None or isinstance(metrics, Mapping):
        return metrics
    return [metric for metric in _several(metrics) if callable(metric)]


def metric_names(metrics: Any) -> list[str]:
    return (
        [] if metrics is None or isinstance(metrics, Mapping) else [m for m in _several(metrics) if isinstance(m, str)]
    )


def _several(values: Any) -> Sequence[Any]:
    return [values] if isinstance(values, str) or callable(values) else list(values)


def by_name(functions: Any) -> dict[str, Any]:
    """Functions by name: as given, or by their own names."""
    if functions is None:
        return {}
    if isinstance(functions, Mapping):
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
    known = {metric.name for metric in spec.metrics if not metric.built_in}
    added = tuple(_metric_spec(name) for name in metrics if name not in known)
    if added:
        changes["metrics"] = (*spec.metrics, *added)
    return spec.model_copy(update=changes)


def _metric_spec(name: str) -> MetricSpec:
    check_name(name)
    try:
        return MetricSpec(name=name)
    except ValidationError:
        raise InputError(
            f"{name!r} cannot be a metric's name: give `metrics` as a mapping of names to functions."
        ) from None
