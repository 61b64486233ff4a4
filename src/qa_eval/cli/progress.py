"""The progress of a run, on standard error: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qa_eval.cli.console import print_text
from qa_eval.cli.result_tables import SHORT_NAMES
from qa_eval.words import counted, from_here

if TYPE_CHECKING:
    from qa_eval.experiment.answers import Answer
    from qa_eval.experiment.looks import TakenLook
    from qa_eval.experiment.plan import Plan
    from qa_eval.targets.outcome import Reply


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
        self._stages = 1
        self._settled: set[str] = set()
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
            print_text(self._console, from_here(line))

    def started(self, plan: Plan, journal: Path, answered: int) -> None:
        """The run starts or is resumed."""
        self._journal, self._total, self._earlier = journal, len(plan), answered
        self._stages = len(plan.stages)
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
        bar = self._bars[system]
        self._progress.update(bar, advance=1, note=count.note())
        if system in self._settled:  # it was in flight when the look was taken
            self._progress.update(bar, total=self._progress.tasks[bar].completed)
        if self._progress.disable and count.is_milestone():
            self.report(f"{system}: {count.done} of {count.total}  {count.note()}")

    def scored(self, answers: Sequence[Answer]) -> None:
        """Some more have their scores."""
        for answer in answers:
            self._counts[answer.system].add_scores(answer)

    def looked(self, look: TakenLook) -> None:
        """A comparison was looked at; where that settled it, its bar is full."""
        if look.decision is None or self._stages == 1 or look.number == self._stages:
            return
        self.report(f"{look.candidate}: {look.decision_words} after {look.examples:,} questions; it is asked no more")
        self._settled.add(look.candidate)
        bar = self._bars[look.candidate]
        self._progress.update(bar, total=self._progress.tasks[bar].completed)

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
        for name in SHORT_NAMES:
            if (value := answer.score(name)) is not None:
                total, count = self._sums.get(name, (0.0, 0))
                self._sums[name] = total + value, count + 1

    def note(self) -> str:
        """Rate, scores so far, cost and failures."""
        rate = self.done / max(1e-3, time.monotonic() - self._start)
        scores = "".join(
            f"  {SHORT_NAMES[name]} {100 * total / count:.1f}" for name, (total, count) in self._sums.items()
        )
        cost = "" if self._cost is None else f"  ${self._cost:.4f}"
        errors = f"  {self._errors} failed" if self._errors else ""
        return f"{rate:.1f}/s{scores}{cost}{errors}"

    def is_milestone(self) -> bool:
        """Whether this is worth a plain line: every tenth part."""
        step = max(1, self.total // 10)
        return self.done % step == 0 or self.done == self.total
