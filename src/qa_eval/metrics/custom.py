"""Own metrics: a function of an example and an answer joins a run, given from Python or by its name.

    def brevity(example: Example, prediction: str) -> float:
        return 1.0 / max(1, len(prediction.split()))

    qa_eval.run_experiment(metrics=[brevity], ...)

A package offers one by name, for `run-experiment --metric brevity`, with an entry point:

    [project.entry-points."qa_eval.metrics"]
    brevity = "my_package.metrics:brevity"

It is called for each answer, in one thread; a coroutine function is awaited, up to a batch of answers at once. A
question without an answer has no own score: where a metric's worst value lies only its author knows. A metric that
raises, or returns no finite number, has an error on that answer, which is counted beside the mean.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from qa_eval.data.examples import Example
from qa_eval.errors import InputError

GROUP = "qa_eval.metrics"
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")
TAKEN = frozenset(
    "model example_id repetition title difficulty question references answer outcome message exact_match f1 "
    "semantic_similarity answer_contained length_ratio declined question_type prompt_tokens completion_tokens "
    "cost_usd latency_s deployment deployment_model fallbacks tries started_at trace_id run".split()
)
"""What an own metric cannot be called: columns of a run's table, and evaluations that Phoenix has from every run."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a metric says of one answer, where a number alone is too little."""

    value: float
    """Any finite number; the mean is taken of it."""
    label: str | None = None
    explanation: str | None = None


Metric = Callable[[Example, str], float | Score | Awaitable[float | Score]]
Metrics = Mapping[str, Metric] | Sequence[Metric | str]


@dataclass(frozen=True, slots=True)
class OwnScore:
    """What one own metric made of one answer."""

    name: str
    value: float | None
    """None where the metric failed; the explanation then says how."""
    label: str | None = None
    explanation: str | None = None


def find_metrics(metrics: Metrics) -> dict[str, Metric]:
    """Own metrics by name.

    Args:
        metrics: Functions under names of their own, or a list of functions and of names in the entry point group
            `qa_eval.metrics`.

    Raises:
        InputError: A name is unknown, taken or given twice, or its entry point cannot be loaded.
    """
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    else:
        pairs = [(each, installed(each)) if isinstance(each, str) else (name_of(each), each) for each in metrics]
    for name, _ in pairs:
        if not _NAME.fullmatch(name) or name in TAKEN:
            reason = "is taken" if name in TAKEN else "is no plain name"
            raise InputError(
                f"A metric cannot be called {name!r}, which {reason}: give metrics={{'a_name': function}}."
            )
        if [other for other, _ in pairs].count(name) > 1:
            raise InputError(f"Two metrics are called {name!r}: give each a name, with metrics={{'a_name': function}}.")
    return dict(pairs)


def installed(name: str) -> Metric:
    """A metric that an installed package offers.

    Raises:
        InputError: None does, or it cannot be loaded.
    """
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        known = ", ".join(sorted(offered.names)) or "none"
        raise InputError(
            f"No installed package offers a metric {name!r} (there are: {known}): install the package that does, "
            "or give the function itself with metrics=, from Python."
        )
    try:
        metric: Metric = offered[name].load()
    except Exception as error:
        raise InputError(f"The metric {name!r} cannot be loaded ({_problem(error)}): mend its package.") from error
    return metric


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called; an object that can be called, by its class."""
    return str(getattr(function, "__name__", type(function).__name__))


async def measure(metrics: Mapping[str, Metric], answers: Sequence[tuple[Example, str]]) -> list[tuple[OwnScore, ...]]:
    """What each metric says of each answer, in the answers' order. No metric's error is raised."""
    columns = [await _column(name, metric, answers) for name, metric in metrics.items()]
    return list(zip(*columns, strict=True)) if columns else [() for _ in answers]


async def _column(name: str, metric: Metric, answers: Sequence[tuple[Example, str]]) -> list[OwnScore]:
    found = await asyncio.to_thread(lambda: [_call(metric, example, answer) for example, answer in answers])
    return await asyncio.gather(*(_settled(name, each) for each in found))


def _call(metric: Metric, example: Example, answer: str) -> Any:
    """What the metric returns, or the error that it raises."""
    try:
        return metric(example, answer)
    except Exception as error:
        return error


async def _settled(name: str, found: Any) -> OwnScore:
    try:
        if inspect.isawaitable(found):
            found = await found
    except Exception as error:
        found = error
    if isinstance(found, Exception):
        return OwnScore(name, None, explanation=_problem(found))
    score = found if isinstance(found, Score) else Score(found)
    if isinstance(score.value, str) or not hasattr(score.value, "__float__") or not math.isfinite(score.value):
        return OwnScore(name, None, explanation=f"it returned {score.value!r}, which is no finite number")
    return OwnScore(name, float(score.value), score.label, score.explanation)


def _problem(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
