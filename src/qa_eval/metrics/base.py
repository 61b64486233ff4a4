"""What a metric makes of an answer: a score, or an error. One form for built-in and custom metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qa_eval.data.examples import Example


class NotScored(Exception):
    """The run stops before this score: there is none, and `resume` makes it."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one metric makes of one answer."""

    value: float | None
    """Any finite number; means are taken of it. None where the metric failed."""
    label: str | None = None
    explanation: str | None = None
    error: str | None = None
    """Why there is no value."""
    name: str = ""
    """The metric's name; a custom metric leaves it to its caller."""


Metric = Callable[[Example, str], float | Score | Awaitable[float | Score]]
"""Example and prediction in, a number or a `Score` out; plain or async."""
