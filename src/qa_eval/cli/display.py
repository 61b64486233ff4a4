"""What a run looks like in a terminal: progress while it runs, a table at its end.

All progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qa_eval.errors import Interrupted, StoppedEarly
from qa_eval.spec.metrics import DEFAULT_METRICS
from qa_eval.words import counted, from_here

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from qa_eval.analysis.gate import GateResult
    from qa_eval.experiment.answers import Answer
    from qa_eval.experiment.calibration import JudgeReport
    from qa_eval.experiment.plan import Plan
    from qa_eval.experiment.results import RunResult
    from qa_eval.experiment.summary import ExperimentResult, MetricSummary
    from qa_eval.targets.outcome import Reply


@contextmanager
def showing(display: Display, *, as_json: bool) -> Iterator[Callable[[RunResult], None]]:
    """Show a run while it is in progress; call what this yields with its result. Then end as the run did.

    Args:
        display: Where progress is shown.
        as_json: Print one JSON document instead of the table.
    """
    results: list[RunResult] = []
    try:
        with display:
            yield results.append
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {display.kept()}") from None
    for result in results:
        gate = judge_run(result)
        if as_json:
            document = result.to_json() | ({} if gate is None else {"gate": gate.to_json()})
            sys.stdout.write(json.dumps(document, indent=2) + "\n")
        else:
            show_result(result)
            if gate is not None:
                typer.echo(gate.text)
        _conclude(result, gate)


def _conclude(result: RunResult, gate: GateResult | None) -> None:
    """Report what is left to do, and end as the run did."""
    resume = f"`qa-eval resume {result.run_id}`"
    if result.metadata.spec.servers.local:
        typer.echo("The local stack is still running; `qa-eval stack down` stops it.", err=True)
    if result.unrecorded:
        typer.echo(
            f"Phoenix lacks {result.unrecorded} answers. {result.unrecorded_reason} {resume} records them.", err=True
        )
    if result.stopped:
        raise StoppedEarly(f"stopped early: {result.stopped} The answers so far are kept; {resume} continues.")
    if result.unrecorded:
        raise typer.Exit(2)
    if gate is not None and not gate.passed:
        typer.echo(f"qa-eval: the gate failed: {gate.reason}.", err=True)
        raise typer.Exit(1)


class Display:
    """Shows how a run goes; an observer of the engine."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            refresh_per_second=5,
        )
        self._quiet = quiet
        self._bars: dict[str, TaskID] = {}
        self._counts: dict[str, _Count] = {}
        self._recording: TaskID | None = None
        self._journal: Path | None = None
        self._total = 0
        self._earlier = 0

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def report(self, line: str) -> None:
        """One line about what takes time."""
        if not self._quiet:
            self._console.print(from_here(line), markup=False, soft_wrap=True)

    def started(self, plan: Plan, journal: Path, answered: int) -> None:
        """The run starts or is resumed."""
        self._journal, self._total, self._earlier = journal, len(plan), answered
        systems = plan.metadata.system_names
        times = f", {plan.spec.repeat} times each" if plan.spec.repeat > 1 else ""
        earlier = f"; {answered} of {len(plan)} are answered already" if answered else ""
        name = f"{plan.spec.name} ({plan.metadata.run_id})" if plan.spec.name else plan.metadata.run_id
        questions = f"{counted(len(plan.dataset), 'question')} of {plan.dataset.name}{times}"
        self.report(f"Run {name}: {questions}, asked of {', '.join(systems)}{earlier}")
        for system in systems:
            self._counts[system] = _Count(plan.questions_per_system)
            # The systems are interleaved, so that an earlier process has asked each of them about as much.
            done = answered // len(systems)
            self._bars[system] = self._progress.add_task(
                system, total=plan.questions_per_system, completed=done, note=""
            )
        self._recording = self._progress.add_task("in Phoenix", total=len(plan), note="", visible=False)

    def answered(self, system: str, reply: Reply) -> None:
        """One more answer is durable."""
        count = self._counts[system]
        count.add(reply)
        self._progress.update(self._bars[system], advance=1, note=count.note())
        if self._progress.disable and count.is_milestone():
            self.report(f"{system}: {count.done} of {count.total}  {count.note()}")

    def scored(self, answers: Sequence[Answer]) -> None:
        """Some more have their scores."""
        for answer in answers:
            self._counts[answer.system].add_scores(answer)

    def recorded(self, count: int) -> None:
        """Phoenix has some more."""
        if self._recording is not None:
            self._progress.update(self._recording, advance=count, visible=True)

    def kept(self) -> str:
        """What an interrupted run leaves behind."""
        if self._journal is None:
            return "no question had been asked."
        done = self._earlier + sum(count.done for count in self._counts.values())
        return f"{done} of {self._total} answers are kept; `qa-eval resume {self._journal.parent.name}` continues."


def judge_run(result: RunResult) -> GateResult | None:
    """The verdict of the gate in the run's specification; None where it has no rules or the run is not whole."""
    rules = result.metadata.spec.gate
    if not (rules.fail_on or rules.require) or result.incomplete:
        return None
    from qa_eval.analysis.gate import judge_run as judge

    return judge(result)


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
    from qa_eval.experiment.tables import first_token_remarks

    built_in = [name for name in ("exact_match", "f1") if name in experiment.metrics]
    if experiment.answered < len(experiment.answers):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
        answered = ", ".join(
            f"{_SHORT[name]} {100 * mean:.2f}"
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
    yield from first_token_remarks(experiment)
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
        parts.append(f"{_SHORT[name]} {100 * estimate.low:.1f} to {100 * estimate.high:.1f}")
    if parts:
        yield f"{', '.join(parts)}, with 95 % confidence"


_SHORT = {"exact_match": "EM", "f1": "F1"}


class _Count:
    """Running numbers of one system."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._start = time.monotonic()
        self._sums: dict[str, tuple[float, int]] = {}
        self._errors = 0
        self._cost: float | None = None

    def add(self, reply: Reply) -> None:
        """Count an answer."""
        self.done += 1
        self._errors += reply.outcome.is_error
        if reply.cost_usd is not None:
            self._cost = (self._cost or 0.0) + reply.cost_usd

    def add_scores(self, answer: Answer) -> None:
        """Count its scores."""
        for name in _SHORT:
            if (value := answer.score(name)) is not None:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = total + value, count + 1

    def note(self) -> str:
        """Rate, scores so far, cost and failures."""
        rate = self.done / max(1e-3, time.monotonic() - self._start)
        scores = "".join(f"  {_SHORT[name]} {100 * total / count:.1f}" for name, (total, count) in self._sums.items())
        cost = "" if self._cost is None else f"  ${self._cost:.4f}"
        errors = f"  {self._errors} failed" if self._errors else ""
        return f"{rate:.1f}/s{scores}{cost}{errors}"

    def is_milestone(self) -> bool:
        """Whether this is worth a plain line: every tenth part."""
        step = max(1, self.total // 10)
        return self.done % step == 0 or self.done == self.total
