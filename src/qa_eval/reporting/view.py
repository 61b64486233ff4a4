"""What each section of the report shows, as the template takes it."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from statistics import fmean
from typing import Any

from markupsafe import Markup

from qa_eval._version import __version__
from qa_eval.analysis.comparison import Comparison, incomplete
from qa_eval.analysis.differences import Difference, all_definitions
from qa_eval.analysis.measures import COMMON, Measure, Unit, available, measures_of, system_value
from qa_eval.analysis.observations import SPECIFICATION, Observation, Observations, Question
from qa_eval.analysis.tables import shown_answer
from qa_eval.metrics.registry import default_primary
from qa_eval.reporting import charts
from qa_eval.reporting.charts import Axis, Point
from qa_eval.reporting.front import pareto
from qa_eval.reporting.highlight import highlight
from qa_eval.reporting.parts import (
    Card,
    Group,
    Plot,
    Strip,
    difference_axis,
    group_of,
    interval_text,
    mean_of,
    natural_order,
    outcome_kind,
    shown,
    signed_points,
    size_of,
    strip_of,
    type_of,
)
from qa_eval.statistics import mean_interval
from qa_eval.targets.outcome import Outcome

WORST = 8
GROUPS = 12
"""How many groups are shown at once; the rest is folded."""
BREAKDOWN = range(2, 13)
"""How many values a metadata column may have to be a breakdown."""


@dataclass(frozen=True)
class ReportView:
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
        return f"{len(items):,} questions in {len({item.question.group for item in items}):,} groups"

    @property
    def made(self) -> str:
        """When, and by what."""
        return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, qa-eval {__version__}, Python {platform.python_version()}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not compared."""
        return tuple(note for note in self.comparison.notes if note not in self.lead) if self.comparison else ()

    @cached_property
    def metrics(self) -> tuple[Measure, ...]:
        """The metrics that some system has."""
        measures = measures_of(all_definitions(self.systems)).values()
        return tuple(measure for measure in measures if measure.score and self._having(measure))

    @cached_property
    def main(self) -> Measure | None:
        """The metric that cost and groups are shown by: the first primary one, where it has a range of 0 to 1."""
        shares = [measure for measure in self.metrics if measure.unit is Unit.POINTS]
        primary = self.systems[0].primary or default_primary([measure.score for measure in shares])
        return next((measure for measure in shares if measure.score in primary), next(iter(shares), None))

    @cached_property
    def scores(self) -> tuple[Plot, ...]:
        """The metrics of each system with their intervals."""
        return tuple(self._values(measure, self._axis(measure)) for measure in self.metrics)

    def _axis(self, measure: Measure) -> Axis:
        if measure.unit is Unit.POINTS:
            return Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), lambda value: f"{100 * value:.0f}")
        found = [system_value(measure, system) for _, system in self._having(measure)]
        ends = [end for each in found for end in (each.estimate, each.low, each.high) if end is not None]
        return Axis.over(ends, lambda value: f"{value:.3g}")

    @cached_property
    def differences(self) -> tuple[Plot, ...]:
        """Candidate minus baseline, in the scores."""
        found = [each for each in (self.comparison.differences if self.comparison else ()) if each.is_score]
        points = [each for each in found if each.measure.unit is Unit.POINTS]
        shared = difference_axis(points, signed_points) if points else None
        plots = []
        for title in dict.fromkeys(each.measure.title for each in found):
            own = [each for each in found if each.measure.title == title]
            axis = shared if own[0] in points else None
            axis = axis or difference_axis(own, lambda value: f"{value:+.3g}")
            plots.append(Plot(title, tuple(self._difference(each, axis) for each in own), axis))
        return tuple(plots)

    @cached_property
    def cost(self) -> Mapping[str, Any] | None:
        """The main metric over the cost of 1,000 questions; None where no cost is known."""
        main = self.main
        if main is None:
            return None
        known = [each for each in self._having(COMMON["cost"]) if available(main, each[1])]
        if not known:
            return None
        values = {index: (system_value(COMMON["cost"], each), system_value(main, each)) for index, each in known}
        front = pareto({index: (cost.estimate, score.estimate) for index, (cost, score) in values.items()})
        points = [
            Point(index, self.systems[index].name, 1000 * cost.estimate, s.estimate, s.low, s.high, index in front)
            for index, (cost, s) in values.items()
        ]
        ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
        across = Axis.over([point.x for point in points], lambda value: f"${value:.3g}", zero=True)
        up = Axis.over(ends, lambda value: f"{100 * value:.3g}")
        told = "; ".join(f"{point.name}: {main.title} {100 * point.y:.1f} at ${point.x:.3g}" for point in points)
        plot = charts.plane(points, across, up, told)
        return {"points": points, "across": across, "up": up, "plot": plot, "metric": main.title}

    @cached_property
    def latencies(self) -> Plot | None:
        """How long answers took; None where it is not known."""
        known = self._having(COMMON["p95_latency"])
        if not known:
            return None
        values = {index: [s for item in each.items.values() for s in item.latencies] for index, each in known}
        # A single hanging call must not flatten all the rest: the scale ends where 99 of 100 answers had come.
        longest = max(sorted(several)[math.ceil(0.99 * len(several)) - 1] for several in values.values())
        axis = Axis.over([longest], lambda value: f"{value:.3g} s", zero=True)
        return Plot("", tuple(self._latency(index, several, axis) for index, several in values.items()), axis)

    @cached_property
    def groups(self) -> tuple[tuple[str, tuple[Group, ...], tuple[Group, ...]], ...]:
        """The main metric by kind of question: a title, the groups shown, and those in the fold."""
        if self.main is None or not all(available(self.main, system) for system in self.systems):
            return ()
        breakdowns = [
            *((name.replace("_", " ").capitalize(), self._by_metadata(name)) for name in self._breakdown_columns()),
            ("Question type", sorted(self._grouped(type_of), key=size_of, reverse=True)),
        ]
        named = tuple((title, tuple(group for _, group in found), ()) for title, found in breakdowns if found)
        by_group = self._grouped(group_of)
        # Where every question is a group of its own, there is nothing to break down.
        return named if len(by_group) == len(self.systems[0]) else (*named, *self._lowest(by_group))

    def _lowest(
        self, by_group: Sequence[tuple[float, Group]]
    ) -> tuple[tuple[str, tuple[Group, ...], tuple[Group, ...]], ...]:
        lowest = [group for _, group in sorted(by_group, key=mean_of)]
        return (("Group, the lowest first", tuple(lowest[:GROUPS]), tuple(lowest[GROUPS:])),)

    def _breakdown_columns(self) -> list[str]:
        """The metadata columns with few values."""
        values: dict[str, set[str]] = {}
        for item in self.systems[0].items.values():
            for name, value in item.question.metadata.items():
                values.setdefault(name, set()).add(shown(value))
        return [name for name, several in values.items() if len(several) in BREAKDOWN]

    def _by_metadata(self, column: str) -> list[tuple[float, Group]]:
        def value(question: Question) -> str:
            return shown(question.metadata.get(column, ""))

        return sorted(self._grouped(value), key=natural_order)

    @cached_property
    def outcomes(self) -> tuple[tuple[int, str, str, Markup], ...]:
        """What became of the questions: index, name, counts in words, and the bar."""
        return tuple(self._outcome(index, system) for index, system in enumerate(self.systems))

    @cached_property
    def worst(self) -> tuple[Card, ...]:
        """The questions that went worst for all systems together, one a group as far as they go."""
        scored = [key for key, item in self.systems[0].items.items() if self._main in item.scores]
        mean = {key: fmean(self._in_main(system, key) for system in self.systems) for key in scored}
        seen: dict[str, int] = {}
        ranked = []
        for key in sorted(mean, key=mean.__getitem__):
            group = self.systems[0].items[key].question.group
            seen[group] = seen.get(group, 0) + 1
            ranked.append((mean[key], seen[group], key))
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
        """How the answers were made: a name, and its value for each system; what no system has is left out."""
        names = dict.fromkeys(name for system in self.systems for name in system.config if name != SPECIFICATION)
        rows = (
            (name.replace("_", " "), tuple(shown(system.config.get(name, "")) for system in self.systems))
            for name in names
        )
        return tuple((name, values) for name, values in rows if any(values))

    @property
    def specifications(self) -> tuple[tuple[str, str], ...]:
        """The specification of each run: the run, and the YAML text that is the same experiment."""
        texts = {
            str(system.config.get("name") or system.config["run"]): str(system.config[SPECIFICATION])
            for system in self.systems
            if SPECIFICATION in system.config
        }
        return tuple(texts.items())

    def _having(self, measure: Measure) -> list[tuple[int, Observations]]:
        return [(index, system) for index, system in enumerate(self.systems) if available(measure, system)]

    def _values(self, measure: Measure, axis: Axis) -> Plot:
        strips = []
        for index, system in self._having(measure):
            found = system_value(measure, system)
            strips.append(strip_of(index, system.name, measure.number(found.estimate), found, axis, measure.number))
        return Plot(measure.title, tuple(strips), axis)

    def _difference(self, found: Difference, axis: Axis) -> Strip:
        index = next(place for place, system in enumerate(self.systems) if system.name == found.candidate)

        def number(value: float) -> str:
            return found.measure.number(value, sign=True)

        value = number(found.estimate.estimate)
        strip = strip_of(index, found.candidate, value, found.estimate, axis, number)
        p_value = "" if found.p_value is None else f"; p\u00a0=\u00a0{found.p_value:.2g}"
        interval = "no question differs" if found.same else strip.interval
        return Strip(index, strip.name, value, f"{interval}{p_value}", strip.plot)

    def _latency(self, index: int, values: Sequence[float], axis: Axis) -> Strip:
        system = self.systems[index]
        p50, p95 = (system_value(COMMON[name], system) for name in ("p50_latency", "p95_latency"))
        beyond = sum(value > axis.high for value in values)
        told = f"p50 {p50.estimate:.3g} s, p95 {p95.estimate:.3g} s, longest {max(values):.3g} s"
        plot = charts.histogram(
            axis, index, values, {"p50": p50.estimate, "p95": p95.estimate}, f"{system.name}: {told}"
        )
        more = f"; {beyond} beyond the scale" if beyond else ""
        interval = f"{interval_text(p95, COMMON['p95_latency'].number)} (p95){more}{_first_token(system)}"
        return Strip(index, system.name, told, interval, plot)

    def _grouped(self, name: Callable[[Question], str]) -> list[tuple[float, Group]]:
        """Groups with their mean in the main metric over all systems."""
        keys: dict[str, list[str]] = {}
        for key, item in self.systems[0].items.items():
            if name(item.question) and self._main in item.scores:
                keys.setdefault(name(item.question), []).append(key)
        return [self._group(title, several) for title, several in keys.items()]

    def _group(self, name: str, keys: Sequence[str]) -> tuple[float, Group]:
        cells = []
        means = [fmean(self._in_main(system, key) for key in keys) for system in self.systems]
        for index, mean in enumerate(means):
            told = f"{self.systems[index].name}: {self.main.title if self.main else ''} {100 * mean:.1f}"
            cells.append((f"{100 * mean:.1f}", self._group_interval(index, keys), charts.bar(mean, index, told)))
        return fmean(means), Group(name, len(keys), tuple(cells))

    @property
    def _main(self) -> str:
        """The name of the main metric."""
        return "" if self.main is None else self.main.score

    def _in_main(self, system: Observations, key: str) -> float:
        return system.items[key].scores.get(self._main, 0.0)

    def _group_interval(self, index: int, keys: Sequence[str]) -> str:
        items = [self.systems[index].items[key] for key in keys]
        scores = [self._in_main(self.systems[index], key) for key in keys]
        found = mean_interval(scores, [item.question.group for item in items], bounds=(0.0, 1.0))
        return "" if found.low is None or found.high is None else f"{100 * found.low:.0f}–{100 * found.high:.0f}"

    def _outcome(self, index: int, system: Observations) -> tuple[int, str, str, Markup]:
        found = system.outcomes
        counts = {str(outcome): found[str(outcome)] for outcome in Outcome if found[str(outcome)]}
        told = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
        kinds = {name: outcome_kind(Outcome(name)) for name in counts}
        return index, system.name, told, charts.shares(counts, kinds, f"{system.name}: {told}")

    def _card(self, key: str, change: str = "") -> Card:
        question = self._best_known(key)
        answers = tuple(
            (index, system.name, shown_answer(system.items[key]), self._scores(system.items[key]))
            for index, system in enumerate(self.systems)
        )
        return Card(question, change, highlight(question.context, question.references), answers)

    def _scores(self, item: Observation) -> str:
        known = [measure for measure in self.metrics if measure.score in item.scores]
        return ", ".join(f"{each.title} {each.number(item.scores[each.score])}" for each in known)

    def _best_known(self, key: str) -> Question:
        """The question from the source that knows its context, if one does."""
        questions = [system.items[key].question for system in self.systems]
        return next((question for question in questions if question.context), questions[0])


def _first_token(system: Observations) -> str:
    """When a system's streamed answers began; empty where it is not known."""
    p50, p95 = (COMMON[name] for name in ("p50_first_token", "p95_first_token"))
    if not available(p50, system):
        return ""
    return (
        f"; first token p50 {system_value(p50, system).estimate:.3g} s, p95 {system_value(p95, system).estimate:.3g} s"
    )
