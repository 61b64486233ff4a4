"""The table of a journal that holds what is known of the run as a whole, by key, as JSON."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, astuple
from typing import Any

from qa_eval.experiment.metadata import Recording, RunEnd, RunMetadata
from qa_eval.targets.pace import Pace, Reason, Spell


class RunTable:
    """The run as a whole; a part of `JournalFile`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def metadata(self) -> RunMetadata:
        """What was fixed when the run started."""
        return RunMetadata.model_validate(self._get("metadata"))

    def recording(self) -> Recording | None:
        """What the run has in Phoenix; None before it has anything."""
        stored = self._get("recording")
        return None if stored is None else Recording.model_validate(stored)

    def set_metadata(self, metadata: RunMetadata) -> None:
        """Replace what was fixed when the run started: `evaluate` adds metrics."""
        with self._db:
            self._set("metadata", metadata.to_data())

    def set_recording(self, recording: Recording) -> None:
        """Keep what the run has in Phoenix."""
        with self._db:
            self._set("recording", recording.model_dump(mode="json"))

    def pace(self) -> Pace:
        """What the limiter knew of the run, over all processes."""
        stored = self._get("pace") or {}
        spells = (Spell(start, end, Reason(reason)) for start, end, reason in stored.get("spells", ()))
        return Pace(stored.get("concurrency"), stored.get("per_second"), tuple(spells))

    def set_pace(self, pace: Pace) -> None:
        """Keep what the limiter knows."""
        with self._db:
            self._set("pace", asdict(pace) | {"spells": [list(astuple(spell)) for spell in pace.spells]})

    def end(self) -> RunEnd:
        """How the last process on this run ended."""
        return RunEnd.model_validate(self._get("end") or {})

    def set_end(self, end: RunEnd) -> None:
        """Keep how this process ended."""
        with self._db:
            self._set("end", end.model_dump(mode="json"))

    def traced(self, what: str = "traced") -> int:
        """The number of the last answer whose span was sent; or with `traced_calls` of the last judge's call."""
        return int(self._get(what) or 0)

    def set_traced(self, seq: int, what: str = "traced") -> None:
        """Keep the number of the last answer, or judge's call, whose span was sent."""
        with self._db:
            self._set(what, seq)

    def _get(self, key: str) -> Any:
        row = self._db.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _set(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value)))
