"""The runs of this machine: find one by id or name, list them, read one as a result."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qa_eval.disk import remove
from qa_eval.errors import InputError
from qa_eval.experiment.calibration import judge_reports
from qa_eval.experiment.journal_file import JournalFile, hold
from qa_eval.experiment.looks import Decisions, EndedComparison
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.summary import ExperimentResult

LATEST = "latest"


def journal_path(folder: Path, run_id: str) -> Path:
    """Where the journal of a run is."""
    return folder / run_id / "journal.sqlite"


def find_run(folder: Path, run: str) -> Path:
    """The journal of a run.

    Args:
        folder: Where the journals are kept.
        run: A run's id, its name (the newest run of that name), the beginning of an id, `latest`, or a journal's path.

    Raises:
        InputError: No run, or more than one, is meant.
    """
    if Path(run).is_file():
        return Path(run)
    ids = sorted((path.parent.name for path in folder.glob("*/journal.sqlite")), reverse=True)
    if run == LATEST and ids:
        return journal_path(folder, ids[0])
    if run in ids:
        return journal_path(folder, run)
    named = next((name for name in ids if _name(journal_path(folder, name)) == run), None)
    if named is not None:
        return journal_path(folder, named)
    matching = [name for name in ids if run and name.startswith(run)]
    if not matching:
        raise InputError(f"There is no run {run!r}: `qa-eval runs list` shows those there are.")
    if len(matching) > 1:
        names = ", ".join(sorted(matching)[:3])
        raise InputError(f"{run!r} is the beginning of {len(matching)} runs ({names}): give more of it.")
    return journal_path(folder, matching[0])


def open_run(folder: Path, run: str) -> RunResult:
    """A run as a result, with every answer; it may still be in progress.

    Args:
        folder: Where the journals are kept.
        run: As for `find_run`.

    Raises:
        InputError: There is no such run, or its journal cannot be read.
    """
    journal = JournalFile.open(find_run(folder, run))
    try:
        return read_result(journal)
    except sqlite3.Error as error:
        raise InputError(f"{journal.path} cannot be read as a journal ({error}): name another run.") from None
    finally:
        journal.close()


def read_result(journal: JournalFile) -> RunResult:
    """The result that a journal holds."""
    plan, answers, end, recording = journal.plan(), journal.answers(), journal.end(), journal.recording()
    metadata = plan.metadata
    experiments = recording.experiments if recording else {}
    reports = judge_reports(plan, answers, journal.calls(), journal.labels())
    judges = {report.metric: report for report in reports}
    decisions, pace = Decisions(metadata, tuple(journal.looks())), journal.pace()
    return RunResult(
        metadata=metadata,
        experiments=tuple(
            ExperimentResult(
                system=str(system.name),
                answers=tuple(answer for answer in answers if answer.system == system.name),
                definitions=metadata.definitions,
                judges=judges,
                model=system.model,
                phoenix_id=experiments[str(system.name)].id if system.name in experiments else None,
                url=experiments[str(system.name)].url if system.name in experiments else None,
                pace=pace,
                planned=plan.questions_until(decisions.last_stage(str(system.name))),
            )
            for system in metadata.systems
        ),
        journal=journal.path,
        planned=plan.questions_per_system,
        wall_s=end.wall_s,
        url=recording.page if recording else None,
        stopped=end.stopped,
        unrecorded=_unrecorded(journal, metadata),
        unwanted=journal.count_unwanted(),
        unrecorded_reason=end.unrecorded_reason,
        pace=pace,
        looks=decisions.looks,
        ended=tuple(_ended(plan, decisions)),
        judges=reports,
    )


def _ended(plan: Plan, decisions: Decisions) -> Iterator[EndedComparison]:
    metadata = plan.metadata
    if metadata.stop is None:
        return
    for candidate in metadata.candidates:
        look = decisions.ended(candidate)
        if look is not None:
            seen = tuple(example.id for stage in plan.stages[: look.number] for example in stage)
            yield EndedComparison(metadata.run_id, metadata.baseline, metadata.stop, look, seen)


def delete_run(folder: Path, run: str) -> None:
    """Delete the journal of a run, and with it its answers; what Phoenix has of it stays there.

    Args:
        folder: Where the journals are kept.
        run: As for `find_run`, but no path.

    Raises:
        InputError: There is no such run, a process is at work on it, or it cannot be deleted.
    """
    path = find_run(folder, run)
    if path.parent.parent != folder:
        raise InputError(f"{run} is a file and no run of this machine: delete it yourself.")
    held = hold(path.parent)
    try:
        remove(path.parent)
    finally:
        held.release()


@dataclass(frozen=True)
class RunSummary:
    """One line of the list of runs."""

    run_id: str
    name: str | None
    dataset: str
    systems: tuple[str, ...]
    planned: int
    """Questions, over all systems and repetitions; fewer where comparisons were decided early."""
    answered: int
    unrecorded: int
    """Answers that Phoenix lacks and should have."""
    stopped: str | None
    url: str | None


def list_runs(folder: Path) -> Iterator[RunSummary]:
    """The runs whose journals can be read, newest first."""
    for path in sorted(folder.glob("*/journal.sqlite"), reverse=True):
        try:
            yield _summary(path)
        except (InputError, sqlite3.Error):
            continue


def _summary(path: Path) -> RunSummary:
    journal = JournalFile.open(path)
    try:
        plan, answered, recording = journal.plan(), journal.count_answers(), journal.recording()
        decisions = Decisions(plan.metadata, tuple(journal.looks()))
        return RunSummary(
            run_id=plan.metadata.run_id,
            name=plan.spec.name,
            dataset=plan.dataset.name,
            systems=plan.metadata.system_names,
            planned=max(answered, _planned(plan, decisions)),
            answered=answered,
            unrecorded=_unrecorded(journal, plan.metadata),
            stopped=journal.end().stopped,
            url=recording.page if recording else None,
        )
    finally:
        journal.close()


def _planned(plan: Plan, decisions: Decisions) -> int:
    """How many questions are to be asked over all systems; answers that were in flight at a decision are not."""
    return sum(plan.questions_until(decisions.last_stage(name)) for name in plan.metadata.system_names)


def _unrecorded(journal: JournalFile, metadata: RunMetadata) -> int:
    """Scored answers that Phoenix lacks."""
    return journal.count_scored() - journal.count_recorded() if metadata.spec.recording.phoenix else 0


def _name(path: Path) -> str | None:
    """The name of a run; None where it has none or cannot be read."""
    try:
        return JournalFile.read_name(path)
    except (InputError, sqlite3.Error):
        return None
