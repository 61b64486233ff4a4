"""What a run looks like in a terminal: progress while it runs, a table at its end.

All progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from qa_eval.experiment.journal import Journal
    from qa_eval.experiment.plan import Plan
    from qa_eval.experiment.results import ExperimentResult, RunResult
    from qa_eval.gateway.reply import Reply


class Display:
    """Shows how a run goes; an observer of the engine."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._quiet = quiet
        self._bars: dict[str, TaskID] = {}
        self._counts: dict[str, _Count] = {}
        self._recording: TaskID | None = None
        self._journal: Journal | None = None
        self._total = 0

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def report(self, line: str) -> None:
        """One line about what takes time before the first question."""
        if not self._quiet:
            self._console.print(line, markup=False, soft_wrap=True)

    def started(self, plan: Plan, journal: Journal) -> None:
        """The run begins."""
        self._journal = journal
        per_model = len(plan.dataset)
        self._total = per_model * len(plan.settings.models)
        models = ", ".join(plan.settings.models)
        self.report(f"Run {plan.run_id}: {per_model} questions of {plan.dataset.name}, asked of {models}")
        for model in plan.settings.models:
            self._counts[model] = _Count(per_model)
            self._bars[model] = self._progress.add_task(model, total=per_model, note="")
        self._recording = self._progress.add_task("in Phoenix", total=self._total, note="", visible=False)

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
        done = sum(count.done for count in self._counts.values())
        return f"{done} of {self._total} answers are kept in {self._journal.path}."

    def show(self, result: RunResult) -> None:
        """The table and the link, on standard output."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        from qa_eval.experiment.results import COLUMNS

        console = Console(highlight=False)
        title = f"{result.dataset}, SQuAD v{result.version}, {result.planned} questions a model"
        if result.stopped:
            asked = ", ".join(f"{len(experiment.entries)} of {experiment.model}" for experiment in result.experiments)
            title = f"STOPPED EARLY, NOT A RESULT: {title}, only {asked} asked"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for name, cell in COLUMNS:
            width = max(len(cell(experiment)) for experiment in result.experiments)
            table.add_column(name, justify="left" if name == "model" else "right", min_width=width)
        for experiment in result.experiments:
            table.add_row(*(cell(experiment) for _, cell in COLUMNS))
        console.print(table)
        for experiment in result.experiments:
            if experiment.answered < len(experiment.entries):
                outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
                console.print(f"{experiment.model}: {outcomes}; a question without an answer scores 0", soft_wrap=True)
            console.print(f"{experiment.model}: {_intervals(experiment)}", soft_wrap=True)
        if result.url:
            console.print(f"Dashboard: {result.url}", soft_wrap=True)


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
        self._exact_match = 0.0
        self._f1 = 0.0
        self._errors = 0

    def add(self, reply: Reply, exact_match: float, f1: float) -> None:
        self.done += 1
        self._exact_match += exact_match
        self._f1 += f1
        self._errors += reply.outcome.is_error

    def note(self) -> str:
        errors = f"  {self._errors} failed" if self._errors else ""
        return f"EM {100 * self._exact_match / self.done:.1f}  F1 {100 * self._f1 / self.done:.1f}{errors}"

    def is_milestone(self) -> bool:
        """Whether this is worth a plain line: every tenth part."""
        step = max(1, self.total // 10)
        return self.done % step == 0 or self.done == self.total
