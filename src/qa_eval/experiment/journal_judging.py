"""The tables of a journal that hold what judges were asked, and what people say of the same answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from qa_eval.experiment.answers import JudgeCall
from qa_eval.experiment.journal_schema import CALL_COLUMNS, read_call
from qa_eval.experiment.labels import Label


class JudgingTables:
    """Judges' calls and people's labels; a part of `JournalFile`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def add_calls(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep calls of judges, each a row of `CALL_COLUMNS`; durable when this returns."""
        with self._db:
            marks = ", ".join("?" * len(CALL_COLUMNS))
            self._db.executemany(
                f"INSERT INTO judge_calls ({', '.join(CALL_COLUMNS)}) VALUES ({marks})",  # noqa: S608
                rows,
            )

    def find_call(self, key: str) -> JudgeCall | None:
        """The call with this key; None where it was not made."""
        return next(iter(self._calls("key = ?", key)), None)

    def calls(self, after: int = 0, limit: int = -1) -> list[JudgeCall]:
        """Calls of judges whose number is above `after`, in order."""
        return self._calls("seq > ? ORDER BY seq LIMIT ?", after, limit)

    def discard_failed_calls(self) -> int:
        """Make room to judge again what was not judged, or where a metric failed. Returns how many answers."""
        with self._db:
            self._db.execute("DELETE FROM judge_calls WHERE failure IS NOT NULL")
            failed = "(SELECT answer FROM scores WHERE value IS NULL)"
            for table in ("scored", "recorded"):
                self._db.execute(f"DELETE FROM {table} WHERE answer IN {failed}")  # noqa: S608
            count = self._db.execute("SELECT count(DISTINCT answer) FROM scores WHERE value IS NULL").fetchone()[0]
            self._db.execute("DELETE FROM scores WHERE value IS NULL")
        return int(count)

    def _calls(self, condition: str, *values: Any) -> list[JudgeCall]:
        columns = ", ".join(("seq", *CALL_COLUMNS))
        rows = self._db.execute(f"SELECT {columns} FROM judge_calls WHERE {condition}", values)  # noqa: S608
        return [read_call(row) for row in rows]

    def add_labels(self, labels: Sequence[Label]) -> None:
        """Keep people's labels; one of the same answer, metric and annotator is replaced."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", [astuple(each) for each in labels]
            )

    def labels(self) -> list[Label]:
        """All labels, in the order of the answers."""
        query = "SELECT answer, metric, label, annotator FROM labels ORDER BY answer, annotator"
        return [Label(*row) for row in self._db.execute(query)]
