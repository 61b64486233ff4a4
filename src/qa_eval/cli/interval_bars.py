"""Intervals as small bars around 0, in Unicode or ASCII."""

from __future__ import annotations

from collections.abc import Iterable

from qa_eval.analysis.differences import Difference
from qa_eval.analysis.measures import Unit

UNICODE = ("━", "│", "┿")
"""An interval, 0, and 0 within an interval."""
ASCII = ("=", "|", "+")


def scales(differences: Iterable[Difference]) -> dict[str, float]:
    """How far the bar of each measure reaches on either side of 0: the same for all measures of one unit.

    A metric on its own scale has a reach of its own.
    """
    reach: dict[str, float] = {}
    for found in differences:
        for end in (found.estimate.low, found.estimate.high):
            reach[_scale(found)] = max(reach.get(_scale(found), 0.0), abs(end or 0.0))
    return reach


def interval_bar(found: Difference, reach: dict[str, float], width: int, *, ascii_only: bool) -> str:
    """The interval of a difference; empty where there is none.

    One that leaves out 0 never touches the middle, however near it is; one that has it always does.

    Args:
        found: The difference.
        reach: What `scales` returns.
        width: Characters; an odd number, so that 0 has the middle one.
        ascii_only: Whether the output cannot show Unicode.
    """
    low, high = found.estimate.low, found.estimate.high
    if low is None or high is None:
        return ""
    line, zero, crossing = ASCII if ascii_only else UNICODE
    middle = width // 2
    first, last = (middle + _cells(end, reach[_scale(found)], middle) for end in (low, high))
    if low > 0:
        first, last = max(first, middle + 1), max(last, middle + 1)
    elif high < 0:
        first, last = min(first, middle - 1), min(last, middle - 1)
    cells = [line if first <= place <= last else " " for place in range(width)]
    cells[middle] = crossing if low <= 0 <= high else zero
    return "".join(cells)


def _scale(found: Difference) -> str:
    return found.measure.name if found.measure.unit is Unit.PLAIN else found.measure.unit.value


def _cells(value: float, reach: float, middle: int) -> int:
    return round(value / reach * middle) if reach else 0
