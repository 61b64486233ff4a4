"""The journal: one SQLite file a run, in which every answer is durable before it is counted.

Write-ahead log, synced at each commit; answers that arrive together are committed together. All statements run in
one thread of the journal's own, so that no disk is waited for on the event loop. Answers, scores and what Phoenix
has of them each have a table: a stage is done with an answer when its row exists.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from qa_eval.data.examples import Example
from qa_eval.errors import InputError, QaEvalError
from qa_eval.experiment.plan import SCORES, Plan
from qa_eval.gateway.reply import Outcome, Reply

_T = TypeVar("_T")
FORMAT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS examples (
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, content TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
    model TEXT NOT NULL, example_id TEXT NOT NULL,
    outcome TEXT NOT NULL, text TEXT NOT NULL, started_at TEXT NOT NULL, latency_s REAL NOT NULL,
    message TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER, cost_usd REAL,
    deployment TEXT, trace_id TEXT,
    PRIMARY KEY (model, example_id)
) STRICT;
CREATE TABLE IF NOT EXISTS scores (
    model TEXT NOT NULL, example_id TEXT NOT NULL,
    exact_match REAL NOT NULL, f1 REAL NOT NULL, semantic_similarity REAL NOT NULL,
    PRIMARY KEY (model, example_id)
) STRICT;
CREATE TABLE IF NOT EXISTS recorded (
    model TEXT NOT NULL, example_id TEXT NOT NULL, phoenix_run_id TEXT NOT NULL,
    PRIMARY KEY (model, example_id)
) STRICT;
"""

_REPLY_COLUMNS = tuple(field.name for field in fields(Reply))


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


class Journal:
    """The journal of one run. Use as an async context manager; `close` waits for what is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
        self._flush: asyncio.Task[None] | None = None
        self._examples: dict[str, Example] = {}

    @classmethod
    async def create(cls, path: Path, plan: Plan) -> Journal:
        """Start the journal of a new run.

        Raises:
            QaEvalError: The folder cannot be written.
        """
        journal = cls(path)
        await journal._run(lambda: journal._start(plan))
        return journal

    async def __aenter__(self) -> Journal:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what waits and close the file."""
        if self._flush is not None:
            await asyncio.gather(self._flush, return_exceptions=True)
        await self._run(lambda: self._db.close())
        self._thread.shutdown()

    async def append(self, model: str, example_id: str, reply: Reply) -> None:
        """Keep one answer; returns when it is durable.

        Raises:
            QaEvalError: It cannot be written, for example because the disk is full.
        """
        row = (model, example_id, *_reply_row(reply))
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((row, written))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_waiting())
        await written

    async def unscored(self, limit: int) -> list[Entry]:
        """Answers without scores, oldest first."""
        return await self._entries("s.model IS NULL", limit)

    async def unrecorded(self, limit: int) -> list[Entry]:
        """Scored answers that Phoenix does not have, oldest first."""
        return await self._entries("s.model IS NOT NULL AND r.model IS NULL", limit)

    async def entries(self) -> list[Entry]:
        """All answers, in the order in which they arrived."""
        return await self._entries("TRUE", -1)

    async def add_scores(self, scored: Sequence[tuple[Entry, Scores]]) -> None:
        """Keep the scores of some answers."""
        rows = [(e.model, e.example.id, *(getattr(s, name) for name in SCORES)) for e, s in scored]
        await self._insert("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", rows)

    async def mark_recorded(self, entry: Entry, phoenix_run_id: str) -> None:
        """Note that Phoenix has an answer and all its evaluations."""
        await self._insert(
            "INSERT OR REPLACE INTO recorded VALUES (?, ?, ?)", [(entry.model, entry.example.id, phoenix_run_id)]
        )

    async def note(self, key: str, value: Any) -> None:
        """Keep a fact about the whole run, as JSON."""
        await self._insert("INSERT OR REPLACE INTO run VALUES (?, ?)", [(key, json.dumps(value))])

    def _start(self, plan: Plan) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(self.path, check_same_thread=False)
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
        self._examples = {example.id: example for example in plan.dataset}
        facts = {
            "format": FORMAT,
            "run_id": plan.run_id,
            "settings": plan.settings.to_json(),
            "dataset": {
                "name": plan.dataset.name,
                "version": plan.dataset.version,
                "description": plan.dataset.description,
            },
        }
        self._db.executemany(
            "INSERT INTO run VALUES (?, ?)", [(key, json.dumps(value)) for key, value in facts.items()]
        )
        self._db.executemany(
            "INSERT INTO examples VALUES (?, ?, ?)",
            [(e.id, place, json.dumps(asdict(e))) for place, e in enumerate(plan.dataset)],
        )
        self._db.commit()

    async def _write_waiting(self) -> None:
        """Commit what waits until nothing does; what arrives meanwhile goes into the next commit."""
        marks = ", ".join("?" * (2 + len(_REPLY_COLUMNS)))
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._insert(f"INSERT INTO answers VALUES ({marks})", [row for row, _ in batch])  # noqa: S608
            except QaEvalError as error:
                for _, written in batch:
                    if not written.done():
                        written.set_exception(error)
            else:
                for _, written in batch:
                    if not written.done():
                        written.set_result(None)

    async def _insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        def insert() -> None:
            with self._db:
                self._db.executemany(statement, rows)

        await self._run(insert)

    async def _entries(self, condition: str, limit: int) -> list[Entry]:
        columns = ", ".join(f"a.{name}" for name in _REPLY_COLUMNS)
        scores = ", ".join(f"s.{name}" for name in SCORES)
        query = (
            f"SELECT a.model, a.example_id, {columns}, {scores} FROM answers a "  # noqa: S608
            "LEFT JOIN scores s USING (model, example_id) LEFT JOIN recorded r USING (model, example_id) "
            f"WHERE {condition} ORDER BY a.rowid LIMIT ?"
        )
        rows = await self._run(lambda: self._db.execute(query, (limit,)).fetchall())
        return [self._entry(row) for row in rows]

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        model, example_id, *rest = row
        reply, scores = rest[: len(_REPLY_COLUMNS)], rest[len(_REPLY_COLUMNS) :]
        return Entry(
            model=model,
            example=self._examples[example_id],
            reply=_reply(reply),
            scores=None if scores[0] is None else Scores(*scores),
        )

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError) as error:
            raise QaEvalError(
                f"The journal {self.path} cannot be written ({error}): "
                "make room, or set QA_EVAL_DATA_DIR to another folder."
            ) from error


def _reply_row(reply: Reply) -> tuple[Any, ...]:
    values = asdict(reply) | {"outcome": reply.outcome.value, "started_at": reply.started_at.isoformat()}
    return tuple(values[name] for name in _REPLY_COLUMNS)


def _reply(row: Sequence[Any]) -> Reply:
    values = dict(zip(_REPLY_COLUMNS, row, strict=True))
    values["outcome"] = Outcome(values["outcome"])
    values["started_at"] = datetime.fromisoformat(values["started_at"])
    return Reply(**values)


def journal_path(folder: Path, run_id: str) -> Path:
    """Where the journal of a run is.

    Raises:
        InputError: The id is not one of a run's.
    """
    if os.sep in run_id or not run_id:
        raise InputError(f"{run_id!r} is no run: `ls {folder}` shows those there are.")
    return folder / run_id / "journal.sqlite"
