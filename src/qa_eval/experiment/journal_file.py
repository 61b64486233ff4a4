"""The journal's file: one SQLite database a run, in which every answer is durable before it is counted.

Write-ahead log, synced at each commit. Answers are numbered as they arrive. A stage is done with an answer when its
row in `scored` or `recorded` exists. Statements are called from one thread at a time; `AsyncJournal` does that for an
event loop.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qa_eval.data.examples import Dataset, Example, PhoenixOrigin
from qa_eval.errors import InputError
from qa_eval.experiment.answers import Answer
from qa_eval.experiment.journal_judging import JudgingTables
from qa_eval.experiment.journal_looks import LookTables
from qa_eval.experiment.journal_run import RunTable
from qa_eval.experiment.journal_schema import (
    ADDED,
    ADDED_COLUMNS,
    COLUMNS,
    ERRORS,
    FAILED,
    FORMAT,
    SCHEMA,
    read_reply,
)
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.plan import CallKey, Plan
from qa_eval.metrics.base import Score


def hold(folder: Path) -> FileLock:
    """Keep other processes from a run; the system releases it when this process ends.

    Args:
        folder: The run's folder.

    Raises:
        InputError: Another process has it.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        text = f"Another process is at work on run {folder.name}: wait until it has ended, or stop it."
        raise InputError(text) from None
    return lock


class JournalFile(RunTable, JudgingTables, LookTables):
    """One journal."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self.path = path
        self._examples: dict[str, Example] = {}
        self._lock: FileLock | None = None
        self._is_old = False

    @classmethod
    def create(cls, path: Path, plan: Plan) -> JournalFile:
        """Start the journal of a new run, and hold it."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal = cls(path, sqlite3.connect(path, check_same_thread=False))
        journal._hold()
        journal._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        journal.fill(plan.metadata, plan.dataset)
        return journal

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> JournalFile:
        """Open the journal of an existing run.

        Args:
            path: The file.
            write: Hold it against other processes, to resume the run; otherwise it is only read.

        Raises:
            InputError: It is not a journal, another process holds it, or an older version wrote it and it cannot be
                resumed.
        """
        try:
            address = f"{path.absolute().as_uri()}?mode=rw" if write else _read_only(path)
            journal = cls(path, sqlite3.connect(address, uri=True, check_same_thread=False))
            if write:
                journal._hold()
            journal._read(write)
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} cannot be read as a journal ({error}): name another run.") from None
        return journal

    @staticmethod
    def read_name(path: Path) -> str | None:
        """The name of the run in a journal, without reading its examples."""
        database = sqlite3.connect(_read_only(path), uri=True)
        try:
            row = database.execute("SELECT value ->> '$.spec.name' FROM run WHERE key = 'metadata'").fetchone()
        finally:
            database.close()
        return None if row is None else row[0]

    def fill(self, metadata: RunMetadata, examples: Iterable[Example]) -> None:
        """Make the tables of a new journal and keep the plan."""
        self._db.executescript(SCHEMA + ADDED)
        self._examples = {example.id: example for example in examples}
        with self._db:
            self._set("format", FORMAT)
            self._set("metadata", metadata.to_data())
            rows = [(e.id, position, json.dumps(asdict(e))) for position, e in enumerate(self._examples.values())]
            self._db.executemany("INSERT INTO examples VALUES (?, ?, ?)", rows)

    def check_resumable(self) -> None:
        """Refuse to resume a run of an older version.

        Raises:
            InputError: It is one.
        """
        if self._is_old:
            raise InputError(
                f"Run {self.path.parent.name} was written by an older version of qa-eval, whose runs can be shown, "
                "compared, reported and exported, but not resumed: start a new run."
            )

    def close(self) -> None:
        """Close the file and release it."""
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    # --- the run ----------------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """The plan of the run."""
        metadata = self.metadata()
        stored = metadata.dataset
        origin = None
        if stored.phoenix_id is not None:
            origin = PhoenixOrigin(stored.phoenix_id, stored.phoenix_version or "", stored.node_ids)
        dataset = Dataset(
            name=stored.name,
            examples=tuple(self._examples.values()),
            version=stored.version,
            description=stored.description,
            origin=origin,
            named=stored.named,
        )
        return Plan(metadata, dataset)

    # --- answers ----------------------------------------------------------------------------------------------------

    def add_answers(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep answers, each a row of `COLUMNS`; durable when this returns."""
        with self._db:
            marks = ", ".join("?" * len(COLUMNS))
            self._db.executemany(f"INSERT INTO answers ({', '.join(COLUMNS)}) VALUES ({marks})", rows)  # noqa: S608

    def add_scores(self, answers: Sequence[Answer]) -> None:
        """Keep the scores of some answers, and of each whether it has them all."""
        positions = {metric.name: position for position, metric in enumerate(self.metadata().spec.metrics)}
        rows = [
            (answer.seq, positions[score.name], score.name, score.value, score.label, score.explanation, score.error)
            for answer in answers
            for score in answer.scores
        ]
        complete = [(answer.seq,) for answer in answers if answer.scored]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO scored VALUES (?)", complete)

    def reopen_scores(self) -> None:
        """Make room for metrics that were added: no answer has all its scores, and Phoenix lacks some of each."""
        with self._db:
            self._db.execute("DELETE FROM scored")
            self._db.execute("DELETE FROM recorded")

    def add_recorded(self, recorded: Sequence[tuple[Answer, str]]) -> None:
        """Keep that Phoenix has some answers with all their evaluations, under these run ids of its own."""
        with self._db:
            rows = [(answer.seq, run_id) for answer, run_id in recorded]
            self._db.executemany("INSERT OR REPLACE INTO recorded VALUES (?, ?)", rows)

    def forget_recorded(self, answers: Sequence[Answer]) -> None:
        """Keep that Phoenix lacks some answers."""
        with self._db:
            self._db.executemany("DELETE FROM recorded WHERE answer = ?", [(answer.seq,) for answer in answers])

    def discard_failures(self) -> int:
        """Make room to ask again what failed; the failures move to a table of their own. Returns how many."""
        with self._db:
            columns = ", ".join(("seq", *COLUMNS))
            self._db.execute(
                f"INSERT INTO retried ({columns}) SELECT {columns} FROM answers WHERE {FAILED}",  # noqa: S608
                ERRORS,
            )
            failed = f"(SELECT seq FROM answers WHERE {FAILED})"  # noqa: S608
            for table in ("scored", "scores", "recorded"):
                self._db.execute(f"DELETE FROM {table} WHERE answer IN {failed}", ERRORS)  # noqa: S608
            return self._db.execute(f"DELETE FROM answers WHERE {FAILED}", ERRORS).rowcount  # noqa: S608

    def unscored(self, after: int, limit: int) -> list[Answer]:
        """Answers without scores whose number is above `after`, in order."""
        return self._select("a.seq > ? AND s.answer IS NULL", after, limit)

    def unrecorded(self) -> list[int]:
        """The numbers of the scored answers that Phoenix does not have."""
        query = "SELECT answer FROM scored WHERE answer NOT IN (SELECT answer FROM recorded) ORDER BY answer"
        return [number for (number,) in self._db.execute(query)]

    def by_number(self, numbers: Sequence[int]) -> list[Answer]:
        """Answers by their numbers, in order."""
        if not numbers:
            return []
        within = f"a.seq > ? AND a.seq IN ({', '.join(map(str, numbers))})"
        return self._select(within, 0, -1)

    def find(self, key: CallKey) -> Answer | None:
        """The answer to one question; None where it has none yet."""
        query = "SELECT seq FROM answers WHERE system = ? AND example_id = ? AND repetition = ?"
        row = self._db.execute(query, key).fetchone()
        return None if row is None else self.by_number(row)[0]

    def answers(self, after: int = 0, limit: int = -1) -> list[Answer]:
        """Answers whose number is above `after`, in order."""
        return self._select("a.seq > ?", after, limit)

    def count_answers(self) -> int:
        """How many answers there are."""
        return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def count_scored(self) -> int:
        """How many answers have all their scores."""
        return int(self._db.execute("SELECT count(*) FROM scored").fetchone()[0])

    def count_unwanted(self) -> int:
        """How many answers Phoenix is not to have."""
        return int(self._db.execute("SELECT count(*) FROM recorded WHERE phoenix_run_id = ''").fetchone()[0])

    def count_recorded(self) -> int:
        """How many answers Phoenix has, or is not to have."""
        return int(self._db.execute("SELECT count(*) FROM recorded").fetchone()[0])

    # --- inside -----------------------------------------------------------------------------------------------------

    def _hold(self) -> None:
        """Keep other processes from resuming this run.

        Raises:
            InputError: Another process has it.
        """
        try:
            self._lock = hold(self.path.parent)
        except InputError:
            self._db.close()
            raise

    def _read(self, write: bool) -> None:
        written_by = self._get("format")
        if written_by == FORMAT - 1:
            self._convert(write)
        elif written_by != FORMAT:
            self.close()
            raise InputError(f"{self.path} was written by another version of qa-eval: use that version for it.")
        elif write:
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(ADDED)
            for table, name, kind in self._missing_columns():
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        else:
            self._add_tables()
            self._add_columns()
        rows = self._db.execute("SELECT content FROM examples ORDER BY position").fetchall()
        for (content,) in rows:
            values = json.loads(content)
            example = Example(**(values | {"references": tuple(values["references"])}))
            self._examples[example.id] = example

    def _add_tables(self) -> None:
        """The tables that the file lacks because a version before them wrote it, in memory and empty."""
        self._db.execute("ATTACH ':memory:' AS added")
        present = {name for (name,) in self._db.execute("SELECT name FROM main.sqlite_master")}
        for statement in filter(str.strip, ADDED.split(";")):
            name = statement.split("EXISTS ")[1].split()[0]
            if name not in present:
                self._db.execute(statement.replace(f"EXISTS {name}", f"EXISTS added.{name}"))

    def _add_columns(self) -> None:
        """The columns that the file lacks, as NULL: a view takes the place of its table, in memory."""
        self._db.execute("PRAGMA temp_store=MEMORY")
        missing: dict[str, list[str]] = {}
        for table, name, _ in self._missing_columns():
            missing.setdefault(table, []).append(f"NULL AS {name}")
        for table, columns in missing.items():
            self._db.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {', '.join(columns)} FROM main.{table}")  # noqa: S608

    def _missing_columns(self) -> list[tuple[str, str, str]]:
        """Those of `ADDED_COLUMNS` that the file lacks, because a version before them wrote it."""
        present = {
            table: {name for (name,) in self._db.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))}
            for table in {table for table, _, _ in ADDED_COLUMNS}
        }
        return [each for each in ADDED_COLUMNS if present[each[0]] and each[1] not in present[each[0]]]

    def _convert(self, write: bool) -> None:
        """Read a journal of the format before, in memory."""
        from qa_eval.experiment.format_3 import convert

        self._is_old = True
        if write:
            self.close()
            self.check_resumable()
        old, self._db = self._db, sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._db.executescript(SCHEMA + ADDED)
            with self._db:
                for table, rows in convert(old):
                    for row in rows:
                        self._db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
        finally:
            old.close()

    def _select(self, condition: str, after: int, limit: int) -> list[Answer]:
        columns = ", ".join(f"a.{name}" for name in ("seq", *COLUMNS))
        query = (
            f"SELECT {columns}, s.answer FROM answers a "  # noqa: S608
            "LEFT JOIN scored s ON s.answer = a.seq LEFT JOIN recorded r ON r.answer = a.seq "
            f"WHERE {condition} ORDER BY a.seq LIMIT ?"
        )
        rows = self._db.execute(query, (after, limit)).fetchall()
        scores = self._scores(rows[0][0], rows[-1][0]) if rows else {}
        return [self._answer(row, scores) for row in rows]

    def _scores(self, first: int, last: int) -> dict[int, list[Score]]:
        """The scores of the answers from one number to another, in the order of the metrics."""
        scores: dict[int, list[Score]] = {}
        query = (
            "SELECT answer, value, label, explanation, error, name FROM scores "
            "WHERE answer BETWEEN ? AND ? ORDER BY answer, position, name"
        )
        for answer, *score in self._db.execute(query, (first, last)):
            scores.setdefault(answer, []).append(Score(*score))
        return scores

    def _answer(self, row: tuple[Any, ...], scores: Mapping[int, list[Score]]) -> Answer:
        seq, system, example_id, repetition, *reply, scored = row
        return Answer(
            system=system,
            example=self._examples[example_id],
            reply=read_reply(reply),
            scores=tuple(scores.get(seq, ())),
            scored=scored is not None,
            repetition=repetition,
            seq=seq,
        )


def _read_only(path: Path) -> str:
    """The address of a journal that is only read, which may be where nothing can be written."""
    # SQLite would make the files of the write-ahead log; without them, nobody is at work on the journal.
    is_frozen = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_frozen else ''}"
