"""The result of a run as tables and sentences, on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from qa_eval.spec.metrics import DEFAULT_METRICS
from qa_eval.words import counted

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from qa_eval.experiment.calibration import JudgeReport
    from qa_eval.experiment.results import RunResult
    from qa_eval.experiment.summary import ExperimentResult, MetricSummary

SHORT_NAMES = {"exact_match": "EM", "f1": "F1"}
"""How narrow columns and lines call the scores that they have room for."""
MAIN_METRICS = 3
"""So many metrics are in the main table; a terminal of 80 columns has no room for more."""


def show_result(result: RunResult) -> None:
    """The tables, what is to be said of them, and the link, on standard output."""
    from rich.text import Text

    console = Console(highlight=False)
    header, *rows = result.cells(MAIN_METRICS)
    table = _table(Text(_title(result)))
    for place, name in enumerate(header):
        # A narrow terminal breaks the titles and the systems' names, never the figures.
        table.add_column(
            Text(name.replace(" ", "\n")),
            justify="right" if place else "left",
            no_wrap=place > 0,
            overflow="fold",
            min_width=None if place else min(12, max(len(row[0]) for row in rows)),
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    for experiment in result.experiments:
        for line in _remarks(experiment):
            console.print(f"{experiment.system}: {line}", soft_wrap=True, markup=False)
    _show_other_metrics(console, result)
    for line in _judge_lines(result):
        console.print(line, soft_wrap=True, markup=False)
    if result.url:
        console.print(f"Dashboard: {result.url}", soft_wrap=True, markup=False)


def _table(title: Text | None = None) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )


def _show_other_metrics(console: Console, result: RunResult) -> None:
    """A row for each metric that is no default one, and system: mean, interval, and what has no score."""
    from rich.text import Text

    others = [name for name in result.metadata.definitions if name not in DEFAULT_METRICS]
    if not others:
        return
    table = _table()
    for title in ("metric", "system"):
        table.add_column(title, overflow="fold")
    for title in ("mean", "95 % interval", "over"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("without a score", overflow="fold")
    for name in others:
        for experiment in result.experiments:
            table.add_row(*map(Text, _metric_cells(experiment.summary(name), experiment)))
    console.print()
    console.print(table)


def _metric_cells(summary: MetricSummary, experiment: ExperimentResult) -> tuple[str, ...]:
    interval = summary.interval
    ends = "-" if interval is None or interval.low is None else f"{interval.low:.4g} to {interval.high:.4g}"
    failures = [f"{count} {name}" for name, count in summary.failures.items()]
    if summary.errors and not failures:
        failures = [f"{summary.errors} errors: {summary.error}"]
    absent = len(experiment.answers) - summary.scored - summary.errors
    return (
        summary.name,
        experiment.system,
        "-" if summary.mean is None else f"{summary.mean:.4g}",
        ends,
        str(summary.scored),
        ", ".join([*failures, *([f"{absent} not applicable"] if absent and not experiment.unscored else [])]),
    )


def _title(result: RunResult) -> str:
    questions = f"{result.dataset}, {result.questions_per_system}"
    if result.metadata.spec.name:
        questions = f"{result.metadata.spec.name}: {questions}"
    if not result.incomplete:
        return questions
    asked = ", ".join(f"{len(experiment.answers)} of {experiment.system}" for experiment in result.experiments)
    unscored = f", {result.unscored} of these not judged" if result.unscored else ""
    return f"STOPPED EARLY, NOT A RESULT: {questions}, only {asked} asked{unscored}"


def _remarks(experiment: ExperimentResult) -> Iterator[str]:
    """What the table does not say of a system."""
    built_in = [name for name in ("exact_match", "f1") if name in experiment.metrics]
    if experiment.answered < len(experiment.answers):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
        answered = ", ".join(
            f"{SHORT_NAMES[name]} {100 * mean:.2f}"
            for name in built_in
            if (mean := experiment.mean(name, answered_only=True)) is not None
        )
        yield f"{outcomes}; a question without an answer scores 0"
        yield f"over the answered ones alone: {answered or 'no score'}"
    if experiment.blocked:
        yield f"the guardrail blocked {100 * experiment.blocked / len(experiment.answers):.1f} % of the questions"
    if len(experiment.deployments) > 1:
        total = experiment.deployments.total()
        yield ", ".join(f"{100 * n / total:.0f} % {name}" for name, n in experiment.deployments.most_common())
    yield from _scored_in_part(experiment)
    yield from _intervals(experiment, built_in)


def _judge_lines(result: RunResult) -> Iterator[str]:
    """What each judge took, and how far it can be trusted."""
    for judge in result.judges:
        cost = "" if judge.cost_usd is None else f", {judge.cost_usd:.4f} USD"
        yield f"judge {judge.metric}: {counted(judge.calls, 'call')} of {judge.model}{cost}"
        if judge.accuracy is not None:
            yield f"  {judge.accuracy.sentence}"
            yield from (f"  {line}" for line in _corrected(result, judge.metric))
        if judge.agreement is not None:
            yield from (f"  {line}" for line in _by_people(result, judge))
    for warning in dict.fromkeys(judge.warning for judge in result.judges if judge.warning):
        yield f"Warning: {warning}."


def show_people(result: RunResult, metric: str) -> None:
    """What people's labels say of one judge."""
    console = Console(highlight=False)
    for judge in result.judges:
        if judge.metric == metric and judge.agreement is not None:
            console.print(f"judge {judge.metric} ({judge.model}), {counted(len(judge.labels), 'labelled answer')}")
            console.print(judge.agreement.table(), markup=False)
            for line in _by_people(result, judge):
                console.print(line, soft_wrap=True, markup=False)


def _by_people(result: RunResult, judge: JudgeReport) -> Iterator[str]:
    """How far a judge agrees with people, and what their labels make of its means."""
    assert judge.agreement is not None, "asked before"
    yield judge.agreement.sentence
    for experiment in result.experiments:
        found, raw = experiment.by_people(judge.metric), experiment.mean(judge.metric, answered_only=True)
        if found is not None and raw is not None:
            interval = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
            yield f"{experiment.system}: {raw:.3f} judged, {found.estimate:.3f}{interval} by people's labels"
        elif raw is not None:
            yield f"{experiment.system}: {raw:.3f} judged; too few of its answers are labelled for a mean by people"


def _corrected(result: RunResult, metric: str) -> Iterator[str]:
    """The means that are corrected for the judge's errors, beside the raw ones."""
    for experiment in result.experiments:
        found = experiment.corrected(metric)
        if found is None:
            continue
        interval = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
        raw = experiment.mean(metric, answered_only=True)
        yield f"{experiment.system}: {raw:.3f} judged, {found.estimate:.3f}{interval} corrected for the judge's errors"


def _scored_in_part(experiment: ExperimentResult) -> Iterator[str]:
    """How many questions the scores are over, where some have no references."""
    if "f1" in experiment.metrics and experiment.answers:
        scored = experiment.summary("f1").scored
        if 0 < scored < len(experiment.answers):
            yield f"{scored} of {len(experiment.answers)} questions have a reference; EM and F1 are over these"


def _intervals(experiment: ExperimentResult, metrics: Sequence[str]) -> Iterator[str]:
    """How far the scores can be trusted, in a line."""
    parts = []
    for name in metrics:
        estimate = experiment.interval(name)
        if estimate is None:
            yield "nothing is scored"
            return
        if estimate.low is None or estimate.high is None:
            yield str(estimate.reason)
            return
        parts.append(f"{SHORT_NAMES[name]} {100 * estimate.low:.1f} to {100 * estimate.high:.1f}")
    if parts:
        yield f"{', '.join(parts)}, with 95 % confidence"
