"""Custom metrics: a function of an example and an answer joins a run, from Python, by module:function or by its name.

    def brevity(example: Example, prediction: str) -> float:
        return 1.0 / max(1, len(prediction.split()))

    qa_eval.run_experiment(metrics=[brevity], ...)

A package offers one by name, for `run-experiment --metric brevity`, with an entry point:

    [project.entry-points."qa_eval.metrics"]
    brevity = "my_package.metrics:brevity"

It is called for each answer, in one thread; a coroutine function is awaited, up to a batch of answers at once. A
question without an answer has no custom score: only the metric's author knows its worst value. A metric that raises,
or returns no finite number, has an error on that answer, which is counted beside the mean.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.metrics.base import Metric, Score
from qa_eval.tracing.context import TraceContext, within

GROUP = "qa_eval.metrics"
Answered = tuple[Example, str, TraceContext | None]
"""An example, the answer to it, and the trace that the metric's own spans join."""
TAKEN = frozenset(
    "system model example_id repetition group question context references answer outcome message exact_match f1 "
    "semantic_similarity answer_contained length_ratio declined question_type prompt_tokens completion_tokens "
    "cost_usd latency_s deployment deployment_model fallbacks tries started_at trace_id run".split()
)
"""Names that a custom metric cannot have: columns of a run's table, and evaluations that every run records."""


def check_name(name: str) -> None:
    """Refuse a name that is taken.

    Raises:
        InputError: It is.
    """
    if name in TAKEN:
        raise InputError(f"A custom metric cannot be called {name!r}, which is taken: give it another name.")


def installed(name: str) -> Metric:
    """A metric that an installed package offers.

    Raises:
        InputError: None does, or it cannot be loaded.
    """
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        known = ", ".join(sorted(offered.names)) or "none"
        raise InputError(
            f"No installed package offers a metric {name!r} (offered: {known}): install the package that does, name it "
            "as module:function, or give the function from Python with `metrics`."
        )
    try:
        metric: Metric = offered[name].load()
    except Exception as error:
        raise InputError(f"The metric {name!r} cannot be loaded ({_problem(error)}): check its package.") from error
    return metric


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called; an object that can be called, by its class."""
    return str(getattr(function, "__name__", type(function).__name__))


async def measure(metrics: Mapping[str, Metric], answers: Sequence[Answered]) -> list[tuple[Score, ...]]:
    """The scores of each answer by each metric, in the answers' order. No metric's error is raised."""
    columns = [await _column(name, metric, answers) for name, metric in metrics.items()]
    return list(zip(*columns, strict=True)) if columns else [() for _ in answers]


async def _column(name: str, metric: Metric, answers: Sequence[Answered]) -> list[Score]:
    results = await asyncio.to_thread(_call_all, metric, answers)
    traces = (trace for _, _, trace in answers)
    return await asyncio.gather(*(_score(name, *pair) for pair in zip(results, traces, strict=True)))


def _call_all(metric: Metric, answers: Sequence[Answered]) -> list[Any]:
    return [_call(metric, *answer) for answer in answers]


def _call(metric: Metric, example: Example, answer: str, trace: TraceContext | None) -> Any:
    """What the metric returns, or the error that it raises."""
    try:
        with within(trace):
            return metric(example, answer)
    except Exception as error:
        return error


async def _score(name: str, result: Any, trace: TraceContext | None) -> Score:
    try:
        if inspect.isawaitable(result):
            with within(trace):
                result = await result
    except Exception as error:
        result = error
    if isinstance(result, Exception):
        return Score(None, error=_problem(result), name=name)
    score = result if isinstance(result, Score) else Score(result)
    value: Any = score.value
    if isinstance(value, str) or not hasattr(value, "__float__") or not math.isfinite(value):
        return Score(None, error=f"it returned {value!r}, which is not a finite number", name=name)
    return replace(score, value=float(value), name=name)


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
