"""What a run looks like in a terminal: progress while it runs, a table at its end.

All progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qa_eval.errors import Interrupted, StoppedEarly

if TYPE_CHECKING:
    from qa_eval.experiment.plan import Plan
    from qa_eval.experiment.results import ExperimentResult, RunResult
    from qa_eval.targets.outcome import Reply


@contextmanager
def showing(display: Display, *, as_json: bool, local: bool = False) -> Iterator[Callable[[RunResult], None]]:
    """Show a run while it goes on; call what this yields with its result. Then end as the run did.

    Args:
        display: Where progress is shown.
        as_json: Print one JSON document instead of the table.
        local: The local stack was used; say that it stays up.
    """
    results: list[RunResult] = []
    try:
        with display:
            yield results.append
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {display.kept()}") from None
    for result in results:
        if as_json:
            sys.stdout.write(json.dumps(result.to_json(), indent=2) + "\n")
        else:
            show_result(result)
        _conclude(result, local)


def _conclude(result: RunResult, local: bool) -> None:
    """Say what stays behind, and end as the run did."""
    resume = f"`qa-eval resume {result.run_id}`"
    if local:
        typer.echo("The local stack stays up; `qa-eval stack down` stops it.", err=True)
    if result.unrecorded:
        typer.echo(
            f"Phoenix lacks {result.unrecorded} answers. {result.unrecorded_reason} {resume} records them.", err=True
        )
    if result.stopped:
        raise StoppedEarly(f"stopped early: {result.stopped} What was received is kept; {resume} goes on.")
    if result.unrecorded:
        raise typer.Exit(2)


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
            self._console.print(line, markup=False, soft_wrap=True)

    def started(self, plan: Plan, journal: Path, answered: int) -> None:
        """The run begins or goes on."""
        self._journal, self._total, self._earlier = journal, len(plan), answered
        per_model = len(plan) // len(plan.settings.models)
        models = ", ".join(plan.settings.models)
        times = f", {plan.settings.repeat} times each" if plan.settings.repeat > 1 else ""
        earlier = f"; {answered} of {len(plan)} are answered already" if answered else ""
        questions = f"{len(plan.dataset)} questions of {plan.dataset.name}{times}"
        self.report(f"Run {plan.run_id}: {questions}, asked of {models}{earlier}")
        for model in plan.settings.models:
            self._counts[model] = _Count(per_model)
            # The models take turns, so that an earlier process has asked each of them about as much.
            done = answered // len(plan.settings.models)
            self._bars[model] = self._progress.add_task(model, total=per_model, completed=done, note="")
        self._recording = self._progress.add_task("in Phoenix", total=len(plan), note="", visible=False)

    def answered(self, model: str, reply: Reply, exact_match: float, f1: float) -> None:
        """One more answer is durable."""
        count = self._counts[model]
        count.add(reply, exact_match, f1)
        self._progress.update(self._bars[model], advance=1, note=count.note())
        if self._progress.disable and count.is_milestone():
            self.report(f"{model}: {count.done} of {count.total}  {count.note()}")

    def recorded(self, count: int) -> None:
        """Phoenix has some more."""
        if self._recording is not None:
            self._progress.update(self._recording, advance=count, visible=True)

    def kept(self) -> str:
        """What an interrupted run leaves behind."""
        if self._journal is None:
            return "no question had been asked."
        done = self._earlier + sum(count.done for count in self._counts.values())
        return f"{done} of {self._total} answers are kept; `qa-eval resume {self._journal.parent.name}` goes on."


def show_result(result: RunResult) -> None:
    """The table and the link, on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from qa_eval.experiment.results import COLUMNS

    console = Console(highlight=False)
    title = f"{result.dataset}, SQuAD v{result.version}, {result.planned} questions a model"
    if result.incomplete:
        asked = ", ".join(f"{len(experiment.entries)} of {experiment.model}" for experiment in result.experiments)
        title = f"STOPPED EARLY, NOT A RESULT: {title}, only {asked} asked"
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name, _ in COLUMNS:
        # A narrow terminal breaks the titles, never the figures.
        table.add_column(name.replace(" ", "\n"), justify="left" if name == "model" else "right", no_wrap=True)
    for experiment in result.experiments:
        table.add_row(*(cell(experiment) for _, cell in COLUMNS))
    console.print(table)
    for experiment in result.experiments:
        for line in _remarks(experiment):
            console.print(f"{experiment.model}: {line}", soft_wrap=True)
    if result.url:
        console.print(f"Dashboard: {result.url}", soft_wrap=True)


def _remarks(experiment: ExperimentResult) -> Iterator[str]:
    """What the table does not say of a model."""
    if experiment.answered < len(experiment.entries):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
        answered = ", ".join(
            f"{title} {100 * mean:.2f}"
            for title, score in (("EM", "exact_match"), ("F1", "f1"))
            if (mean := experiment.mean(score, answered_only=True)) is not None
        )
        yield f"{outcomes}; a question without an answer scores 0"
        yield f"over the answered ones alone: {answered or 'no score'}"
    if experiment.blocked:
        yield f"the guardrail blocked {100 * experiment.blocked / len(experiment.entries):.1f} % of the questions"
    if len(experiment.deployments) > 1:
        total = experiment.deployments.total()
        yield ", ".join(f"{100 * n / total:.0f} % {name}" for name, n in experiment.deployments.most_common())
    yield _intervals(experiment)
    yield from map(str, experiment.own_metrics())


def _intervals(experiment: ExperimentResult) -> str:
    """How far the scores can be trusted, in a line."""
    parts = []
    for title, score in (("EM", "exact_match"), ("F1", "f1")):
        estimate = experiment.interval(score)
        if estimate is None:
            return "nothing is scored"
        if estimate.low is None or estimate.high is None:
            return str(estimate.reason)
        parts.append(f"{title} {100 * estimate.low:.1f} to {100 * estimate.high:.1f}")
    return f"{', '.join(parts)}, with 95 % confidence"


class _Count:
    """Running numbers of one model."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._start = time.monotonic()
        self._exact_match = 0.0
        self._f1 = 0.0
        self._errors = 0
        self._cost: float | None = None

    def add(self, reply: Reply, exact_match: float, f1: float) -> None:
        self.done += 1
        self._exact_match += exact_match
        self._f1 += f1
        self._errors += reply.outcome.is_error
        if reply.cost_usd is not None:
            self._cost = (self._cost or 0.0) + reply.cost_usd

    def note(self) -> str:
        rate = self.done / max(1e-3, time.monotonic() - self._start)
        cost = "" if self._cost is None else f"  ${self._cost:.4f}"
        errors = f"  {self._errors} failed" if self._errors else ""
        scores = f"EM {100 * self._exact_match / self.done:.1f}  F1 {100 * self._f1 / self.done:.1f}"
        return f"{rate:.1f}/s  {scores}{cost}{errors}"

    def is_milestone(self) -> bool:
        """Whether this is worth a plain line: every tenth part."""
        step = max(1, self.total // 10)
        return self.done % step == 0 or self.done == self.total
