"""From observations to the page: what each section shows, and the file.

The page compares several systems on their common questions, the first being the baseline; one system alone stands
with all its questions. Everything in the file is in the file: no script, no network.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

import jinja2
from markupsafe import Markup, escape

from qa_eval._version import __version__
from qa_eval.analysis.comparison import Comparison, Difference, compare_systems, incomplete, shown_answer
from qa_eval.analysis.measures import MEASURES, Measure, available, own_value
from qa_eval.analysis.observations import Observation, Observations, Question
from qa_eval.analysis.sources import Source, observe
from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.reporting import charts
from qa_eval.reporting.charts import Axis, Point
from qa_eval.statistics import Estimate, mean_interval
from qa_eval.targets.outcome import Outcome

SCORES = ("em", "f1", "similarity")
WORST = 8
ARTICLES = 12
"""How many articles stand in the open; all are in the fold."""
DEFAULT_OUTPUT = Path("qa-eval-report.html")


def report(
    *sources: Source,
    output: str | Path = DEFAULT_OUTPUT,
    dataset: Dataset | str | Path | None = None,
    phoenix: str | None = None,
) -> Path:
    """Write a report as one HTML file.

    Args:
        sources: As for `compare`; one is enough. Several are compared, with the first as the baseline.
        output: The file to write; one that is there is replaced.
        dataset: The questions that predictions files answer.
        phoenix: The base URL of the Phoenix that holds experiments named by their id.

    Returns:
        The path of the file.

    Raises:
        InputError: A source cannot be read, there are no answers, or the file cannot be written.
        PhoenixError: Phoenix is not there, or has no such experiment.
    """
    page = render(observe(sources, dataset=dataset, phoenix=phoenix))
    path = Path(output)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): give another path with --output.") from None
    return path


def render(systems: Sequence[Observations]) -> str:
    """The page's HTML.

    Raises:
        InputError: There are no answers, or the systems have no question in common.
    """
    if not systems or not all(len(system) for system in systems):
        raise InputError("There is nothing to report: the run has no scored answers.")
    comparison = compare_systems(systems) if len(systems) > 1 else None
    content = Content(comparison.systems if comparison else tuple(systems), comparison)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("qa_eval.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(key=charts.key, scale=charts.scale, heights=charts.heights)
    style = Markup((resources.files("qa_eval.reporting") / "templates" / "report.css").read_text("utf-8"))  # noqa: S704
    return environment.get_template("report.html.jinja").render(page=content, style=style)


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


@dataclass(frozen=True)
class Content:
    """All that the template shows, each part made when it is asked for."""

    systems: tuple[Observations, ...]
    comparison: Comparison | None

    @property
    def title(self) -> str:
        """What the report is about."""
        datasets = {str(system.config["dataset"]) for system in self.systems if "dataset" in system.config}
        return f"{' and '.join(sorted(datasets)) or 'question answering'}: {len(self.systems)} " + (
            "system" if len(self.systems) == 1 else "systems"
        )

    @property
    def lead(self) -> tuple[str, ...]:
        """What to know first: what is no whole result, then the verdicts or the scores."""
        if self.comparison is not None:
            return (*incomplete(self.systems), *self.comparison.verdicts)
        scores = (f"{plot.title} {strip.value} ({strip.interval})" for plot in self.scores for strip in plot.strips)
        return (*incomplete(self.systems), *scores)

    @property
    def questions(self) -> str:
        """Which questions this is about."""
        if self.comparison is not None:
            return self.comparison.describe_questions()
        items = self.systems[0].items.values()
        return f"{len(items):,} questions from {len({item.question.title for item in items})} articles"

    @property
    def made(self) -> str:
        """When, and by what."""
        return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, qa-eval {__version__}, Python {platform.python_version()}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not compared."""
        return tuple(note for note in self.comparison.notes if note not in self.lead) if self.comparison else ()

    @cached_property
    def scores(self) -> tuple[Plot, ...]:
        """The scores of each system with their intervals."""
        axis = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), lambda value: f"{100 * value:.0f}")
        return tuple(self._values(MEASURES[name], axis) for name in SCORES if self._having(MEASURES[name]))

    @cached_property
    def differences(self) -> tuple[Plot, ...]:
        """Candidate minus baseline, in the scores."""
        found = [each for each in (self.comparison.differences if self.comparison else ()) if each.is_score]
        if not found:
            return ()
        reached = [end for each in found for end in (each.estimate.low, each.estimate.high) if end is not None]
        axis = Axis.over([*reached, *(each.estimate.estimate for each in found)], _signed_points, zero=True)
        titles = dict.fromkeys(each.measure.title for each in found)
        return tuple(
            Plot(title, tuple(self._difference(each, axis) for each in found if each.measure.title == title), axis)
            for title in titles
        )

    @cached_property
    def cost(self) -> Mapping[str, Any] | None:
        """F1 over the cost of 1,000 questions; None where no cost is known."""
        known = [each for each in self._having(MEASURES["cost"]) if available(MEASURES["f1"], each[1])]
        if not known:
            return None
        values = {index: (own_value(MEASURES["cost"], each), own_value(MEASURES["f1"], each)) for index, each in known}
        front = pareto({index: (cost.estimate, score.estimate) for index, (cost, score) in values.items()})
        points = [
            Point(index, self.systems[index].name, 1000 * cost.estimate, s.estimate, s.low, s.high, index in front)
            for index, (cost, s) in values.items()
        ]
        ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
        across = Axis.over([point.x for point in points], lambda value: f"${value:.3g}", zero=True)
        up = Axis.over(ends, lambda value: f"{100 * value:.3g}")
        told = "; ".join(f"{point.name}: F1 {100 * point.y:.1f} at ${point.x:.3g}" for point in points)
        return {"points": points, "across": across, "up": up, "plot": charts.plane(points, across, up, told)}

    @cached_property
    def latencies(self) -> Plot | None:
        """How long answers took; None where it is not known."""
        known = self._having(MEASURES["p95_latency"])
        if not known:
            return None
        values = {index: [s for item in each.items.values() for s in item.latencies] for index, each in known}
        # A single hanging call must not flatten all the rest: the scale ends where 99 of 100 answers had come.
        longest = max(sorted(several)[math.ceil(0.99 * len(several)) - 1] for several in values.values())
        axis = Axis.over([longest], lambda value: f"{value:.3g} s", zero=True)
        return Plot("", tuple(self._latency(index, several, axis) for index, several in values.items()), axis)

    @cached_property
    def groups(self) -> tuple[tuple[str, tuple[Group, ...], tuple[Group, ...]], ...]:
        """F1 by kind of question: a title, the groups shown, and those in the fold."""
        by_article = self._grouped(lambda question: question.title)
        lowest = sorted(by_article, key=lambda group: group[0])
        shown = tuple(group for _, group in lowest[:ARTICLES])
        folded = tuple(group for _, group in lowest[ARTICLES:])
        order = {"easy": "0", "medium": "1", "hard": "2"}
        difficulty = sorted(self._grouped(lambda q: q.difficulty), key=lambda g: order.get(g[1].name, g[1].name))
        types = sorted(self._grouped(lambda question: question.type), key=lambda group: -group[1].count)
        titled = (("Difficulty", difficulty), ("Question type", types))
        named = tuple((title, tuple(group for _, group in found), ()) for title, found in titled if found)
        return (*named, ("Article, the lowest first", shown, folded))

    @cached_property
    def outcomes(self) -> tuple[tuple[int, str, str, Markup], ...]:
        """What became of the questions: index, name, counts in words, and the bar."""
        return tuple(self._outcome(index, system) for index, system in enumerate(self.systems))

    @cached_property
    def worst(self) -> tuple[Card, ...]:
        """The questions that went worst for all systems together, one an article as far as they go."""
        mean = {key: fmean(s.items[key].scores.get("f1", 0.0) for s in self.systems) for key in self.systems[0].items}
        seen: dict[str, int] = {}
        ranked = []
        for key in sorted(mean, key=mean.__getitem__):
            title = self.systems[0].items[key].question.title
            seen[title] = seen.get(title, 0) + 1
            ranked.append((mean[key], seen[title], key))
        below = [key for score, _, key in sorted(ranked, key=lambda each: each[:2]) if score < 1.0]
        return tuple(self._card(key) for key in below[:WORST])

    @cached_property
    def changed(self) -> tuple[Card, ...]:
        """The questions that changed most against the baseline."""
        changed = self.comparison.changed if self.comparison else ()
        several = len(self.systems) > 2
        return tuple(
            self._card(each.question.id, f"{each.candidate} {change}" if several else change)
            for each in changed
            for change in (f"{100 * each.change:+.0f} points",)
        )

    @property
    def settings(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """How the answers were made: a name, and its value for each system."""
        names = dict.fromkeys(name for system in self.systems for name in system.config)
        return tuple(
            (name.replace("_", " "), tuple(_told(system.config.get(name, "")) for system in self.systems))
            for name in names
        )

    def _having(self, measure: Measure) -> list[tuple[int, Observations]]:
        return [(index, system) for index, system in enumerate(self.systems) if available(measure, system)]

    def _values(self, measure: Measure, axis: Axis) -> Plot:
        strips = []
        for index, system in self._having(measure):
            found = own_value(measure, system)
            strips.append(_strip(index, system.name, measure.number(found.estimate), found, axis, measure.number))
        return Plot(measure.title, tuple(strips), axis)

    def _difference(self, found: Difference, axis: Axis) -> Strip:
        index = next(place for place, system in enumerate(self.systems) if system.name == found.candidate)
        value = _signed_points(found.estimate.estimate, 1)
        strip = _strip(index, found.candidate, value, found.estimate, axis, lambda v: _signed_points(v, 1))
        p_value = "" if found.p_value is None else f"; p\u00a0=\u00a0{found.p_value:.2g}"
        interval = "no question differs" if found.same else strip.interval
        return Strip(index, strip.name, value, f"{interval}{p_value}", strip.plot)

    def _latency(self, index: int, values: Sequence[float], axis: Axis) -> Strip:
        system = self.systems[index]
        p50, p95 = (own_value(MEASURES[name], system) for name in ("p50_latency", "p95_latency"))
        beyond = sum(value > axis.high for value in values)
        told = f"p50 {p50.estimate:.3g} s, p95 {p95.estimate:.3g} s, longest {max(values):.3g} s"
        plot = charts.histogram(
            axis, index, values, {"p50": p50.estimate, "p95": p95.estimate}, f"{system.name}: {told}"
        )
        more = f"; {beyond} beyond the scale" if beyond else ""
        return Strip(index, system.name, told, f"{_interval(p95, MEASURES['p95_latency'].number)} (p95){more}", plot)

    def _grouped(self, name: Callable[[Question], str]) -> list[tuple[float, Group]]:
        """Groups with their mean F1 over all systems."""
        keys: dict[str, list[str]] = {}
        for key, item in self.systems[0].items.items():
            if name(item.question):
                keys.setdefault(name(item.question), []).append(key)
        return [self._group(title, several) for title, several in keys.items()]

    def _group(self, name: str, keys: Sequence[str]) -> tuple[float, Group]:
        cells = []
        means = [fmean(system.items[key].scores.get("f1", 0.0) for key in keys) for system in self.systems]
        for index, mean in enumerate(means):
            told = f"{self.systems[index].name}: F1 {100 * mean:.1f}"
            cells.append((f"{100 * mean:.1f}", self._group_interval(index, keys), charts.bar(mean, index, told)))
        return fmean(means), Group(name, len(keys), tuple(cells))

    def _group_interval(self, index: int, keys: Sequence[str]) -> str:
        items = [self.systems[index].items[key] for key in keys]
        scores = [item.scores.get("f1", 0.0) for item in items]
        found = mean_interval(scores, [item.question.title for item in items], bounds=(0.0, 1.0))
        return "" if found.low is None or found.high is None else f"{100 * found.low:.0f}–{100 * found.high:.0f}"

    def _outcome(self, index: int, system: Observations) -> tuple[int, str, str, Markup]:
        found = system.outcomes
        counts = {str(outcome): found[str(outcome)] for outcome in Outcome if found[str(outcome)]}
        told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        kinds = {name: _kind(Outcome(name)) for name in counts}
        return index, system.name, told, charts.shares(counts, kinds, f"{system.name}: {told}")

    def _card(self, key: str, change: str = "") -> Card:
        question = self._best_known(key)
        answers = tuple(
            (index, system.name, shown_answer(system.items[key]), _scores(system.items[key]))
            for index, system in enumerate(self.systems)
        )
        return Card(question, change, highlight(question.context, question.references), answers)

    def _best_known(self, key: str) -> Question:
        """The question from the source that knows its context, if one does."""
        questions = [system.items[key].question for system in self.systems]
        return next((question for question in questions if question.context), questions[0])


def pareto(systems: Mapping[int, tuple[float, float]]) -> set[int]:
    """Which systems no other beats: none is as cheap and as good, and cheaper or better.

    Args:
        systems: The cost and the quality of each.
    """
    return {
        index
        for index, (cost, quality) in systems.items()
        if not any(
            other_cost <= cost and other_quality >= quality and (other_cost, other_quality) != (cost, quality)
            for other_cost, other_quality in systems.values()
        )
    }


def highlight(context: str, references: Iterable[str]) -> Markup:
    """The context, escaped, with each reference marked wherever it stands."""
    marked = [False] * len(context)
    for reference in {reference for reference in references if reference.strip()}:
        start = context.find(reference)
        while start >= 0:
            marked[start : start + len(reference)] = [True] * len(reference)
            start = context.find(reference, start + 1)
    parts, begin = [], 0
    for place in range(1, len(context) + 1):
        if place == len(context) or marked[place] != marked[begin]:
            text = escape(context[begin:place])
            parts.append(Markup("<mark>{}</mark>").format(text) if marked[begin] else text)
            begin = place
    return Markup("").join(parts)


def _strip(index: int, name: str, value: str, found: Estimate, axis: Axis, number: Callable[[float], str]) -> Strip:
    interval = _interval(found, number)
    plot = charts.interval(axis, index, found.estimate, found.low, found.high, f"{name}: {value}, {interval}")
    return Strip(index, name, value, interval, plot)


def _interval(found: Estimate, number: Callable[[float], str]) -> str:
    if found.low is None or found.high is None:
        return f"no interval: {found.limit}"
    return f"{number(found.low)} to {number(found.high)}"


def _signed_points(value: float, digits: int = 3) -> str:
    return f"{100 * value:+.1f}" if digits == 1 else f"{100 * value:+.3g}".replace("+0", "0")


def _scores(item: Observation) -> str:
    titles = {measure.score: measure.title for measure in MEASURES.values() if measure.score}
    return ", ".join(f"{titles.get(name, name)} {100 * score:.0f}" for name, score in item.scores.items())


def _kind(outcome: Outcome) -> str:
    if outcome is Outcome.NO_ANSWER:
        return "declined"
    return "good" if outcome.is_answer else "blocked" if outcome.is_blocked else "bad"


def _told(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
