"""The parts of the report's sections, and how their values are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qa_eval.analysis.differences import Difference
from qa_eval.analysis.observations import Question
from qa_eval.reporting import charts
from qa_eval.reporting.charts import Axis
from qa_eval.statistics import Estimate
from qa_eval.targets.outcome import Outcome


@dataclass(frozen=True)
class Strip:
    """One system's line in a plot."""

    index: int
    name: str
    value: str
    interval: str
    plot: Markup


@dataclass(frozen=True)
class Plot:
    """Lines on one scale."""

    title: str
    strips: tuple[Strip, ...]
    axis: Axis


@dataclass(frozen=True)
class Group:
    """A part of the questions: how many, and each system's F1, its interval and its bar."""

    name: str
    count: int
    cells: tuple[tuple[str, str, Markup], ...]


@dataclass(frozen=True)
class Card:
    """A question with what each system made of it."""

    question: Question
    change: str
    context: Markup
    answers: tuple[tuple[int, str, str, str], ...]
    """Index, name, answer and scores of each system."""


def strip_of(index: int, name: str, value: str, found: Estimate, axis: Axis, number: Callable[[float], str]) -> Strip:
    interval = interval_text(found, number)
    plot = charts.interval(axis, index, found.estimate, found.low, found.high, f"{name}: {value}, {interval}")
    return Strip(index, name, value, interval, plot)


def interval_text(found: Estimate, number: Callable[[float], str]) -> str:
    if found.low is None or found.high is None:
        return f"no interval: {found.limit}"
    return f"{number(found.low)} to {number(found.high)}"


def signed_points(value: float) -> str:
    return f"{100 * value:+.3g}".replace("+0", "0")


def difference_axis(found: Sequence[Difference], form: Callable[[float], str]) -> Axis:
    reached = [end for each in found for end in (each.estimate.low, each.estimate.high) if end is not None]
    return Axis.over([*reached, *(each.estimate.estimate for each in found)], form, zero=True)


def outcome_kind(outcome: Outcome) -> str:
    if outcome is Outcome.NO_ANSWER:
        return "declined"
    return "good" if outcome.is_answer else "blocked" if outcome.is_blocked else "bad"


def type_of(question: Question) -> str:
    return question.type


def group_of(question: Question) -> str:
    return question.group


def mean_of(group: tuple[float, Group]) -> float:
    return group[0]


def size_of(group: tuple[float, Group]) -> int:
    return group[1].count


_ORDER = {"easy": "0", "medium": "1", "hard": "2"}


def natural_order(group: tuple[float, Group]) -> str:
    """Levels of difficulty in their order, everything else by name."""
    return _ORDER.get(group[1].name, group[1].name)


def shown(value: object) -> str:
    """A value of a setting or of metadata as text."""
    if isinstance(value, dict):
        if value.keys() >= {"messages"}:
            return "\n\n".join(f"{message['role']}: {message['content']}" for message in value["messages"])
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
