"""The runs of this machine: find one, list them, read one as a result."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_eval.errors import InputError
from qa_eval.experiment.journal_file import Ledger
from qa_eval.experiment.recorder import Recording
from qa_eval.experiment.results import ExperimentResult, RunResult

LATEST = "latest"


def journal_path(folder: Path, run_id: str) -> Path:
    """Where the journal of a run is."""
    return folder / run_id / "journal.sqlite"


def find_run(folder: Path, run: str) -> Path:
    """The journal of a run.

    Args:
        folder: Where the journals are kept.
        run: A run's id, the beginning of one, `latest`, or a journal's path.

    Raises:
        InputError: No run, or more than one, is meant.
    """
    if Path(run).is_file():
        return Path(run)
    ids = sorted(path.parent.name for path in folder.glob("*/journal.sqlite"))
    found = (
        ids[-1:]
        if run == LATEST
        else [name for name in ids if name == run] or [name for name in ids if run and name.startswith(run)]
    )
    if not found:
        raise InputError(f"There is no run {run!r}: `qa-eval runs list` shows those there are.")
    if len(found) > 1:
        raise InputError(f"{run!r} is the beginning of {len(found)} runs ({', '.join(found[:3])}): give more of it.")
    return journal_path(folder, found[0])


def open_run(folder: Path, run: str) -> RunResult:
    """A run as a result, with every answer; it may still be under way.

    Args:
        folder: Where the journals are kept.
        run: As for `find_run`.

    Raises:
        InputError: There is no such run, or its journal cannot be read.
    """
    ledger = Ledger.open(find_run(folder, run))
    try:
        return read_result(ledger)
    except sqlite3.Error as error:
        raise InputError(f"{ledger.path} cannot be read as a journal ({error}): name another run.") from None
    finally:
        ledger.close()


def read_result(ledger: Ledger) -> RunResult:
    """The result that a journal holds."""
    facts, plan, entries = ledger.facts(), ledger.plan(), ledger.answers()
    recording = Recording.from_json(facts["phoenix"]) if "phoenix" in facts else None
    end: dict[str, Any] = facts.get("end") or {}
    experiments = recording.experiments if recording else {}
    return RunResult(
        run_id=plan.run_id,
        dataset=plan.dataset.name,
        version=plan.dataset.version,
        settings=plan.settings,
        experiments=tuple(
            ExperimentResult(
                model=model,
                entries=tuple(entry for entry in entries if entry.model == model),
                phoenix_id=experiments[model].id if model in experiments else None,
                url=experiments[model].url if model in experiments else None,
            )
            for model in plan.settings.models
        ),
        journal=ledger.path,
        planned=len(plan.dataset) * plan.settings.repeat,
        wall_s=end.get("wall_s", 0.0),
        url=recording.page if recording else None,
        stopped=end.get("stopped"),
        unrecorded=len(entries) - ledger.count("recorded") if facts.get("recorded", True) else 0,
        unrecorded_reason=end.get("unrecorded_reason"),
    )


@dataclass(frozen=True)
class RunSummary:
    """One line of the list of runs."""

    run_id: str
    dataset: str
    models: tuple[str, ...]
    planned: int
    """Questions, over all models and repetitions."""
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
    ledger = Ledger.open(path)
    try:
        facts, plan, answered = ledger.facts(), ledger.plan(), ledger.count("answers")
        return RunSummary(
            run_id=plan.run_id,
            dataset=plan.dataset.name,
            models=plan.settings.models,
            planned=len(plan),
            answered=answered,
            unrecorded=answered - ledger.count("recorded") if facts.get("recorded", True) else 0,
            stopped=(facts.get("end") or {}).get("stopped"),
            url=Recording.from_json(facts["phoenix"]).page if "phoenix" in facts else None,
        )
    finally:
        ledger.close()
