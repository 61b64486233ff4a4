"""The table of a journal that holds the looks at its comparisons, and the scores that a look reads."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from statistics import fmean
from typing import Any

from qa_eval.experiment.looks import Settled, TakenLook


class LookTables:
    """Looks at comparisons; a part of `JournalFile`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def add_look(self, look: TakenLook) -> None:
        """Keep a look; durable when this returns."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(look))

    def looks(self) -> list[TakenLook]:
        """All looks, in the order in which they were taken."""
        rows = self._db.execute(
            "SELECT candidate, number, examples, estimate, low, high, decision, taken_at FROM looks "
            "ORDER BY number, taken_at"
        )
        return [_look(row) for row in rows]

    def count_by_example(self) -> list[tuple[str, str, int]]:
        """System, example id, and how many of its answers have all their scores."""
        query = (
            "SELECT a.system, a.example_id, count(*) FROM answers a JOIN scored s ON s.answer = a.seq "
            "GROUP BY a.system, a.example_id"
        )
        return self._db.execute(query).fetchall()

    def means(self, metric: str, systems: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
        """A metric of some systems by example id, each the mean over the repetitions that have it."""
        marks = ", ".join("?" * len(systems))
        query = (
            f"SELECT a.system, a.example_id, s.value FROM answers a JOIN scores s ON s.answer = a.seq "  # noqa: S608
            f"WHERE s.name = ? AND s.value IS NOT NULL AND a.system IN ({marks})"
        )
        values: dict[str, dict[str, list[float]]] = {system: defaultdict(list) for system in systems}
        for system, example, value in self._db.execute(query, (metric, *systems)):
            values[system][example].append(value)
        return {system: {example: fmean(each) for example, each in found.items()} for system, found in values.items()}


def _look(row: tuple[Any, ...]) -> TakenLook:
    candidate, number, examples, estimate, low, high, decision, taken_at = row
    settled = None if decision is None else Settled(decision)
    return TakenLook(candidate, number, examples, estimate, low, high, settled, taken_at)
