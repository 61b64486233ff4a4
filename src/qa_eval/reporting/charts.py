"""Plots as inline SVG. In: numbers. Out: markup, with every text escaped.

Horizontal positions are percentages, vertical ones pixels: a plot takes the width there is and its text keeps its
size. Systems differ by marker and letter, outcomes by pattern; colours come from the page's style and only repeat that.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

MARKERS = (
    "M-6,0a6,6 0 1,0 12,0a6,6 0 1,0 -12,0",  # circle
    "M-5.3,-5.3h10.6v10.6h-10.6z",  # square
    "M0,-7L6.6,5.2H-6.6z",  # triangle
    "M0,-7.4L7.4,0L0,7.4L-7.4,0z",  # diamond
    "M-6.6,-5.2H6.6L0,7z",  # triangle, down
    "M-2.4,-6.5h4.8v4.1h4.1v4.8h-4.1v4.1h-4.8v-4.1h-4.1v-4.8h4.1z",  # plus
)
BINS = 40
PLOT_HEIGHT = 300
_LABEL_HEIGHT = 17


@dataclass(frozen=True)
class Axis:
    """A scale with its ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    label: Callable[[float], str]

    @classmethod
    def over(cls, values: Sequence[float], label: Callable[[float], str], *, zero: bool = False) -> Axis:
        """A scale with round ticks that holds all values, and 0 where asked for."""
        wanted = [*values, 0.0] if zero else list(values)
        low, high = min(wanted), max(wanted)
        room = (high - low) or abs(high) or 1.0
        step = _round_step(room / 4)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(step * number for number in range(first, max(last, first + 1) + 1))
        return cls(ticks[0], ticks[-1], ticks, label)

    def percent(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 100."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))), 3)


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)


def marker(index: int, x: str = "50%", y: float = 8) -> Markup:
    """The sign of a system."""
    shape = _element("path", d=MARKERS[index % len(MARKERS)], class_=f"mark s{index % len(MARKERS)}")
    return _element("svg", shape, x=x, y=y, overflow="visible", width=1, height=1)


def key(index: int) -> Markup:
    """The sign of a system, to stand in a line of text."""
    return _element("svg", marker(index), width=16, height=16, class_="key", aria_hidden="true")


def interval(axis: Axis, index: int, estimate: float, low: float | None, high: float | None, told: str) -> Markup:
    """A marker at the estimate and a line over its interval."""
    parts = [_grid(axis, 26)]
    if low is not None and high is not None:
        ends = [f"{axis.percent(end)}%" for end in (low, high)]
        parts.append(_line(ends[0], 13, ends[1], 13, f"range s{index % len(MARKERS)}"))
        parts += [_line(end, 8, end, 18, f"range s{index % len(MARKERS)}") for end in ends]
    parts.append(marker(index, f"{axis.percent(estimate)}%", 13))
    return _plot(26, told, parts)


def scale(axis: Axis) -> Markup:
    """The labels below such strips."""
    labels = [_text(f"{axis.percent(tick)}%", 13, axis.label(tick), _anchor(axis.percent(tick))) for tick in axis.ticks]
    return _element("svg", *labels, width="100%", height=18, class_="scale", aria_hidden="true")


def histogram(axis: Axis, index: int, values: Sequence[float], marks: Mapping[str, float], told: str) -> Markup:
    """How values are spread, with named values marked by lines."""
    counts, edges = np.histogram(values, bins=BINS, range=(axis.low, axis.high))
    parts = [_grid(axis, 78)]
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            height = max(1.5, 56 * count / max(counts))
            width = max(0.3, axis.percent(right) - axis.percent(left) - 0.3)
            parts.append(
                _element(
                    "rect",
                    x=f"{axis.percent(left)}%",
                    y=round(78 - height, 1),
                    width=f"{width:.3f}%",
                    height=round(height, 1),
                    class_=f"bar s{index % len(MARKERS)}",
                )
            )
    for place, (name, value) in enumerate(marks.items()):
        at = axis.percent(value)
        parts.append(_line(f"{at}%", 4 + 10 * place, f"{at}%", 78, "pointer"))
        parts.append(_beside(at, 11 + 12 * place, f"{name} {axis.label(value)}", 4))
    return _plot(78, told, parts)


@dataclass(frozen=True, slots=True)
class Point:
    """A system in a plane, with the interval of its height."""

    index: int
    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    on_front: bool


def plane(points: Sequence[Point], across: Axis, up: Axis, told: str) -> Markup:
    """Points with their names; the front is a line through those on it."""
    parts = [_grid(across, PLOT_HEIGHT)]
    parts += [_line("0%", _height(up, tick), "100%", _height(up, tick), "grid") for tick in up.ticks]
    front = sorted((point for point in points if point.on_front), key=lambda point: point.x)
    for one, other in itertools.pairwise(front):
        ends = [f"{across.percent(point.x)}%" for point in (one, other)]
        parts.append(_line(ends[0], _height(up, one.y), ends[1], _height(up, other.y), "front"))
    for point in points:
        at = f"{across.percent(point.x)}%"
        if point.low is not None and point.high is not None:
            style = f"range s{point.index % len(MARKERS)}"
            parts.append(_line(at, _height(up, point.low), at, _height(up, point.high), style))
        parts.append(marker(point.index, at, _height(up, point.y)))
    parts += _names(points, across, up)
    return _plot(PLOT_HEIGHT, told, parts)


def heights(up: Axis) -> Markup:
    """The labels at the left of a plane."""
    labels = [_text("100%", _height(up, tick) + 4, up.label(tick), "end", dx=-4) for tick in up.ticks]
    return _element("svg", *labels, width=40, height=PLOT_HEIGHT, class_="scale", aria_hidden="true")


def shares(counts: Mapping[str, int], kinds: Mapping[str, str], told: str) -> Markup:
    """A bar of shares, each in its kind's pattern."""
    total, done = sum(counts.values()), 0
    parts = []
    for name, count in counts.items():
        left, width = 100 * done / total, 100 * count / total
        parts.append(_element("rect", x=f"{left:.3f}%", y=3, width=f"{width:.3f}%", height=20, class_=kinds[name]))
        done += count
    return _plot(26, told, parts)


def bar(value: float, index: int, told: str) -> Markup:
    """A small bar from 0 to 1."""
    style = f"bar s{index % len(MARKERS)}"
    width = f"{100 * value:.2f}%"
    parts = [
        _element("rect", x=0, y=3, width="100%", height=6, class_="track"),
        _element("rect", x=0, y=3, width=width, height=6, class_=style),
    ]
    return _plot(12, told, parts)


def _names(points: Sequence[Point], across: Axis, up: Axis) -> list[Markup]:
    """Each point's name beside it, moved down where two would lie on each other."""
    texts, below = [], -math.inf
    for point in sorted(points, key=lambda point: -point.y):
        at = across.percent(point.x)
        height = max(_height(up, point.y) + 4, below + _LABEL_HEIGHT)
        below = height
        texts.append(_beside(at, height, point.name, 12))
    return texts


def _height(up: Axis, value: float) -> float:
    """Pixels from the top, with room for markers at both ends."""
    return round(PLOT_HEIGHT - 14 - (PLOT_HEIGHT - 28) * up.percent(value) / 100, 1)


def _grid(axis: Axis, height: float) -> Markup:
    lines = []
    for tick in axis.ticks:
        at = f"{axis.percent(tick)}%"
        lines.append(_line(at, 0, at, height, "grid zero" if tick == 0 else "grid"))
    return Markup("").join(lines)


def _anchor(percent: float) -> str:
    return "start" if percent < 4 else "end" if percent > 96 else "middle"


def _plot(height: float, told: str, parts: Sequence[Markup]) -> Markup:
    return _element("svg", *parts, width="100%", height=height, class_="plot", role="img", aria_label=told)


def _line(x1: str, y1: float, x2: str, y2: float, style: str) -> Markup:
    return _element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)


def _beside(percent: float, y: float, text: str, distance: float) -> Markup:
    """A text at the side of a point where there is more room."""
    if percent > 55:
        return _text(f"{percent}%", y, text, "end", -distance)
    return _text(f"{percent}%", y, text, "start", distance)


def _text(x: str, y: float, text: str, anchor: str = "start", dx: float = 0) -> Markup:
    return _element("text", escape(text), x=x, y=y, dx=dx, text_anchor=anchor)


def _element(tag: str, *content: Markup, **attributes: object) -> Markup:
    """An element; `class_` is `class`, an underscore a hyphen."""
    written = (f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"' for name, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(tag, Markup("".join(written)), Markup("").join(content))  # noqa: S704
