"""The journal: one SQLite file a run, in which every answer is durable before it is counted.

Write-ahead log, synced at each commit; answers that arrive together are committed together. `Ledger` is the file;
`Journal` is the same for an event loop: all its statements run in one thread of its own, so that no disk is waited
for on the loop. Answers are numbered as they arrive. Scores and what Phoenix has of an answer each have a table: a
stage is done with an answer when its row exists; what own metrics say of it is written together with its scores.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from qa_eval.data.examples import Dataset, Example
from qa_eval.errors import InputError, QaEvalError
from qa_eval.experiment.plan import SCORES, Plan, Settings
from qa_eval.metrics.custom import OwnScore
from qa_eval.targets.outcome import Outcome, Reply

_T = TypeVar("_T")
FORMAT = 3
_GATHER_S = 0.01
"""A commit costs more than the answers in it: those that arrive within this time share one."""

_ANSWER = """
    seq INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, example_id TEXT NOT NULL, repetition INTEGER NOT NULL,
    outcome TEXT NOT NULL, text TEXT NOT NULL, started_at TEXT NOT NULL, latency_s REAL NOT NULL,
    message TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,
    deployment TEXT, deployment_model TEXT, fallbacks INTEGER, gateway_retries INTEGER, tries INTEGER NOT NULL,
    trace_id TEXT, span_id TEXT"""
_SCHEMA = f"""
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE examples (id TEXT PRIMARY KEY, position INTEGER NOT NULL, content TEXT NOT NULL) STRICT;
CREATE TABLE answers ({_ANSWER}, UNIQUE (model, example_id, repetition)) STRICT;
CREATE TABLE superseded ({_ANSWER}) STRICT;
CREATE TABLE scores (
    answer INTEGER PRIMARY KEY, exact_match REAL NOT NULL, f1 REAL NOT NULL, semantic_similarity REAL NOT NULL
) STRICT;
CREATE TABLE extra_scores (
    answer INTEGER NOT NULL, name TEXT NOT NULL, value REAL, label TEXT, explanation TEXT, PRIMARY KEY (answer, name)
) STRICT;
CREATE TABLE recorded (answer INTEGER PRIMARY KEY, phoenix_run_id TEXT NOT NULL) STRICT;
"""
_REPLY = tuple(field.name for field in fields(Reply))
_COLUMNS = ("model", "example_id", "repetition", *_REPLY)
_ERRORS = tuple(str(outcome) for outcome in Outcome if outcome.is_error)
_FAILED = f"outcome IN ({', '.join('?' * len(_ERRORS))})"


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of one answer, each 0 to 1; a failure scores 0 on each."""

    exact_match: float
    f1: float
    semantic_similarity: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal: which question, what became of it, and its scores once it has them."""

    model: str
    example: Example
    reply: Reply
    scores: Scores | None = None
    repetition: int = 1
    seq: int = 0
    """Its number in the journal, in the order of arrival."""
    own_scores: tuple[OwnScore, ...] = ()
    """What own metrics say of it; none for a question without an answer."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells its question from all others of its run."""
        return self.model, self.example.id, self.repetition


class Ledger:
    """One journal's file."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path = path
        self._db = database
        self._examples: dict[str, Example] = {}
        self._lock: Any = None

    @classmethod
    def create(cls, path: Path, plan: Plan) -> Ledger:
        """Start the journal of a new run, and hold it."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        ledger = cls(path, sqlite3.connect(path, check_same_thread=False))
        ledger.hold()
        ledger._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
        dataset = plan.dataset
        facts = {
            "format": FORMAT,
            "run_id": plan.run_id,
            "settings": plan.settings.to_json(),
            "dataset": {"name": dataset.name, "version": dataset.version, "description": dataset.description},
        }
        with ledger._db:
            ledger._db.executemany("INSERT INTO run VALUES (?, ?)", [(k, json.dumps(v)) for k, v in facts.items()])
            rows = [(e.id, place, json.dumps(asdict(e))) for place, e in enumerate(dataset)]
            ledger._db.executemany("INSERT INTO examples VALUES (?, ?, ?)", rows)
        ledger._examples = {example.id: example for example in dataset}
        return ledger

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Ledger:
        """Open the journal of a run that there is.

        Args:
            path: The file.
            write: Hold it against other processes, to go on with the run; otherwise it is only read.

        Raises:
            InputError: It is no journal of this version, or another process holds it.
        """
        try:
            address = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
            ledger = cls(path, sqlite3.connect(address, uri=True, check_same_thread=False))
            if write:
                ledger.hold()
                ledger._db.execute("PRAGMA synchronous=FULL")
            if ledger.facts().get("format") != FORMAT:
                raise InputError(f"{path} was written by another version of qa-eval: use that version for it.")
            rows = ledger._db.execute("SELECT content FROM examples ORDER BY position").fetchall()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be read as a journal ({error}): name another run.") from None
        examples = (json.loads(row) for (row,) in rows)
        ledger._examples = {e["id"]: Example(**(e | {"references": tuple(e["references"])})) for e in examples}
        return ledger

    def hold(self) -> None:
        """Keep other processes from going on with this run; the system lets go when this process ends.

        Raises:
            InputError: Another process has it.
        """
        self._lock = (self.path.parent / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InputError(
                f"Another process is at work on run {self.path.parent.name}: wait until it has ended, or stop it."
            ) from None

    def close(self) -> None:
        """Close the file and let go of it."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def facts(self) -> dict[str, Any]:
        """What is known of the whole run: `settings`, `dataset`, and what was noted."""
        return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM run")}

    def plan(self) -> Plan:
        """The plan of the run."""
        facts = self.facts()
        dataset = Dataset(examples=tuple(self._examples.values()), **facts["dataset"])
        return Plan(facts["run_id"], dataset, Settings.from_json(facts["settings"]))

    def note(self, key: str, value: Any) -> None:
        """Keep a fact about the whole run."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value)))

    def add_answers(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep answers; durable when this returns."""
        with self._db:
            marks = ", ".join("?" * len(_COLUMNS))
            self._db.executemany(f"INSERT INTO answers ({', '.join(_COLUMNS)}) VALUES ({marks})", rows)  # noqa: S608

    def add_scores(self, entries: Sequence[Entry]) -> None:
        """Keep the scores of some answers, their own scores with them."""
        rows = [(entry.seq, *(getattr(entry.scores, name) for name in SCORES)) for entry in entries]
        own = [(e.seq, own.name, own.value, own.label, own.explanation) for e in entries for own in e.own_scores]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO extra_scores VALUES (?, ?, ?, ?, ?)", own)

    def add_recorded(self, recorded: Sequence[tuple[Entry, str]]) -> None:
        """Note that Phoenix has some answers and all their evaluations, under these run ids of its own."""
        with self._db:
            rows = [(entry.seq, run_id) for entry, run_id in recorded]
            self._db.executemany("INSERT OR REPLACE INTO recorded VALUES (?, ?)", rows)

    def forget_recorded(self, entries: Sequence[Entry]) -> None:
        """Note that Phoenix lacks some answers after all."""
        with self._db:
            self._db.executemany("DELETE FROM recorded WHERE answer = ?", [(entry.seq,) for entry in entries])

    def set_failures_aside(self) -> int:
        """Make room to ask again what went wrong; the failures stay in a table of their own. Returns how many."""
        with self._db:
            self._db.execute(f"INSERT INTO superseded SELECT * FROM answers WHERE {_FAILED}", _ERRORS)  # noqa: S608
            for table in ("scores", "extra_scores", "recorded"):
                failed = f"(SELECT seq FROM answers WHERE {_FAILED})"  # noqa: S608
                self._db.execute(f"DELETE FROM {table} WHERE answer IN {failed}", _ERRORS)  # noqa: S608
            return self._db.execute(f"DELETE FROM answers WHERE {_FAILED}", _ERRORS).rowcount  # noqa: S608

    def unscored(self, after: int, limit: int) -> list[Entry]:
        """Answers without scores whose number is above `after`, in order."""
        return self._entries("a.seq > ? AND s.answer IS NULL", after, limit)

    def unrecorded(self, after: int, limit: int) -> list[Entry]:
        """Scored answers that Phoenix does not have, whose number is above `after`, in order."""
        return self._entries("a.seq > ? AND s.answer IS NOT NULL AND r.answer IS NULL", after, limit)

    def answers(self, after: int = 0, limit: int = -1) -> list[Entry]:
        """Answers whose number is above `after`, in order."""
        return self._entries("a.seq > ?", after, limit)

    def count(self, table: str) -> int:
        """How many rows `answers`, `scores` or `recorded` has."""
        return int(self._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608

    def _entries(self, condition: str, after: int, limit: int) -> list[Entry]:
        columns = ", ".join(f"a.{name}" for name in ("seq", *_COLUMNS))
        query = (
            f"SELECT {columns}, {', '.join(f's.{name}' for name in SCORES)} FROM answers a "  # noqa: S608
            "LEFT JOIN scores s ON s.answer = a.seq LEFT JOIN recorded r ON r.answer = a.seq "
            f"WHERE {condition} ORDER BY a.seq LIMIT ?"
        )
        rows = self._db.execute(query, (after, limit)).fetchall()
        own = self._own_scores(rows[0][0], rows[-1][0]) if rows else {}
        return [self._entry(row, tuple(own.get(row[0], ()))) for row in rows]

    def _own_scores(self, first: int, last: int) -> dict[int, list[OwnScore]]:
        """The own scores of the answers from one number to another, in the order in which they were written."""
        found: dict[int, list[OwnScore]] = {}
        query = "SELECT * FROM extra_scores WHERE answer BETWEEN ? AND ? ORDER BY rowid"
        for answer, *own in self._db.execute(query, (first, last)):
            found.setdefault(answer, []).append(OwnScore(*own))
        return found

    def _entry(self, row: tuple[Any, ...], own_scores: tuple[OwnScore, ...]) -> Entry:
        seq, model, example_id, repetition, *rest = row
        reply, scores = rest[: len(_REPLY)], rest[len(_REPLY) :]
        return Entry(
            model=model,
            example=self._examples[example_id],
            reply=_reply(reply),
            scores=None if scores[0] is None else Scores(*scores),
            repetition=repetition,
            seq=seq,
            own_scores=own_scores,
        )


class Journal:
    """The journal of one run that is under way. An async context manager; its end waits for what is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ledger: Ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
        self._flush: asyncio.Task[None] | None = None

    @classmethod
    async def create(cls, path: Path, plan: Plan) -> Journal:
        """Start the journal of a new run.

        Raises:
            QaEvalError: The folder cannot be written.
        """
        return await cls(path)._opened(lambda: Ledger.create(path, plan))

    @classmethod
    async def open(cls, path: Path) -> Journal:
        """Go on with a run.

        Raises:
            InputError: There is no such journal, or another process holds it.
        """
        return await cls(path)._opened(lambda: Ledger.open(path, write=True))

    async def __aenter__(self) -> Journal:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._flush is not None:
            await asyncio.gather(self._flush, return_exceptions=True)
        await self.run(lambda ledger: ledger.close())
        self._thread.shutdown()

    async def run(self, work: Callable[[Ledger], _T]) -> _T:
        """Do something with the ledger, in the journal's thread.

        Raises:
            QaEvalError: The file cannot be written, for example because the disk is full.
        """
        return await self._in_thread(lambda: work(self._ledger))

    async def append(self, model: str, example_id: str, repetition: int, reply: Reply) -> None:
        """Keep one answer; returns when it is durable.

        Raises:
            QaEvalError: It cannot be written, for example because the disk is full.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append(((model, example_id, repetition, *_reply_row(reply)), written))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_waiting())
        await written

    async def _write_waiting(self) -> None:
        """Commit what waits until nothing does; what arrives meanwhile goes into the next commit."""
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            batch, self._waiting = self._waiting, []
            problem: QaEvalError | None = None
            try:
                await self.run(lambda ledger, batch=batch: ledger.add_answers([row for row, _ in batch]))  # type: ignore[misc]
            except QaEvalError as error:
                problem = error
            for _, written in batch:
                if written.done():
                    continue
                if problem is None:
                    written.set_result(None)
                else:
                    written.set_exception(problem)

    async def _opened(self, open_ledger: Callable[[], Ledger]) -> Journal:
        self._ledger = await self._in_thread(open_ledger)
        return self

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            raise QaEvalError(
                f"The journal {self.path} cannot be written ({error}): make room, or set QA_EVAL_DATA_DIR to another "
                f"folder; `qa-eval resume {self.path.parent.name}` goes on with what is kept."
            ) from error


def _reply_row(reply: Reply) -> tuple[Any, ...]:
    values: Mapping[str, Any] = {
        **{name: getattr(reply, name) for name in _REPLY},
        "outcome": reply.outcome.value,
        "started_at": reply.started_at.isoformat(),
    }
    return tuple(values[name] for name in _REPLY)


def _reply(row: Sequence[Any]) -> Reply:
    values = dict(zip(_REPLY, row, strict=True))
    values["outcome"] = Outcome(values["outcome"])
    values["started_at"] = datetime.fromisoformat(values["started_at"])
    return Reply(**values)
