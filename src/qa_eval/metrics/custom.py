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
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.metrics.base import Metric, NotScored, Score
from qa_eval.metrics.judgement import JudgeError
from qa_eval.metrics.phoenix_evals import is_evaluator
from qa_eval.metrics.registry import BUILT_IN

GROUP = "qa_eval.metrics"
Surroundings = Callable[[], AbstractContextManager[None]]
Answered = tuple[Example, str, Surroundings]
"""An example, the answer to it, and what the metric runs in: the question's trace, the calls of its judges."""
TAKEN = frozenset(
    "system model example_id repetition group question context references answer outcome message length_ratio declined "
    "question_type prompt_tokens completion_tokens cost_usd latency_s queued first_token_s deployment deployment_model "
    "fallbacks tries started_at trace_id run answered failed p50_latency p95_latency p50_first_token p95_first_token "
    "cost preference".split()
)
"""Names that a metric of your own cannot have, besides those of the built-in metrics: columns of a run's table,
evaluations that every run records, and what rules can name."""


def check_name(name: str) -> None:
    """Refuse a name that is taken.

    Raises:
        InputError: It is.
    """
    if name in TAKEN or name in BUILT_IN:
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


def name_of(function: Any) -> str:
    """What a function is called; an evaluator of phoenix.evals by its name, another object by its class."""
    if is_evaluator(function):
        return str(function.name)
    return str(getattr(function, "__name__", type(function).__name__))


async def measure(name: str, metric: Metric, answers: Sequence[Answered]) -> list[Score | None]:
    """The score of each answer by one metric, in the answers' order; None where the run stops before.

    No metric's error is raised.
    """
    results = await asyncio.to_thread(_call_all, metric, answers)
    around = (surroundings for _, _, surroundings in answers)
    return await asyncio.gather(*(_score(name, *pair) for pair in zip(results, around, strict=True)))


def _call_all(metric: Metric, answers: Sequence[Answered]) -> list[Any]:
    return [_call(metric, *answer) for answer in answers]


def _call(metric: Metric, example: Example, answer: str, around: Surroundings) -> Any:
    """What the metric returns, or the error that it raises."""
    try:
        with around():
            return metric(example, answer)
    except Exception as error:
        return error


async def _score(name: str, result: Any, around: Surroundings) -> Score | None:
    try:
        if inspect.isawaitable(result):
            with around():
                result = await result
    except Exception as error:
        result = error
    if isinstance(result, NotScored):
        return None
    if isinstance(result, Exception):
        return Score(None, error=_problem(result), name=name)
    score = result if isinstance(result, Score) else Score(result)
    if score.error is not None:
        return replace(score, value=None, name=name)
    value: Any = score.value
    if isinstance(value, str) or not hasattr(value, "__float__") or not math.isfinite(value):
        return Score(None, error=f"it returned {value!r}, which is not a finite number", name=name)
    return replace(score, value=float(value), name=name)


def _problem(error: Exception) -> str:
    if isinstance(error, JudgeError):
        return str(error)
    return f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
