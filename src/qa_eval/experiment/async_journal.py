"""The journal of a run that is in progress, for an event loop: all statements run in one thread of its own.

Answers that arrive together are committed together; `append` returns when the answer is durable.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from qa_eval.errors import QaEvalError
from qa_eval.experiment.answers import Answer
from qa_eval.experiment.journal_file import JournalFile, answer_row
from qa_eval.experiment.metadata import Recording, RunEnd
from qa_eval.experiment.plan import Call, Plan
from qa_eval.targets.outcome import Reply

_P = ParamSpec("_P")
_T = TypeVar("_T")
_GATHER_S = 0.01
"""A commit costs more than the answers in it: those that arrive within this time share one."""


class AsyncJournal:
    """An async context manager; its end waits for what is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: JournalFile
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: list[tuple[tuple[Any, ...], asyncio.Future[None]]] = []
        self._flush: asyncio.Task[None] | None = None

    @classmethod
    async def create(cls, path: Path, plan: Plan) -> AsyncJournal:
        """Start the journal of a new run.

        Raises:
            QaEvalError: The folder cannot be written.
        """
        journal = cls(path)
        journal._file = await journal._in_thread(JournalFile.create, path, plan)
        return journal

    @classmethod
    async def open(cls, path: Path) -> AsyncJournal:
        """Open the journal of a run to resume it.

        Raises:
            InputError: There is no such journal, or another process holds it.
        """
        journal = cls(path)
        journal._file = await journal._in_thread(partial(JournalFile.open, path, write=True))
        return journal

    async def __aenter__(self) -> AsyncJournal:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._flush is not None:
            await asyncio.gather(self._flush, return_exceptions=True)
        await self._in_thread(self._file.close)
        self._thread.shutdown()

    async def append(self, call: Call, reply: Reply) -> None:
        """Keep one answer; returns when it is durable.

        Raises:
            QaEvalError: It cannot be written, for example because the disk is full.
        """
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((answer_row(call.system, call.example.id, call.repetition, reply), written))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_waiting())
        await written

    async def plan(self) -> Plan:
        """See `JournalFile.plan`."""
        return await self._in_thread(self._file.plan)

    async def answers(self, after: int = 0, limit: int = -1) -> list[Answer]:
        """See `JournalFile.answers`."""
        return await self._in_thread(self._file.answers, after, limit)

    async def unscored(self, after: int, limit: int) -> list[Answer]:
        """See `JournalFile.unscored`."""
        return await self._in_thread(self._file.unscored, after, limit)

    async def unrecorded(self, after: int, limit: int) -> list[Answer]:
        """See `JournalFile.unrecorded`."""
        return await self._in_thread(self._file.unrecorded, after, limit)

    async def count_answers(self) -> int:
        """See `JournalFile.count_answers`."""
        return await self._in_thread(self._file.count_answers)

    async def add_scores(self, answers: Sequence[Answer]) -> None:
        """See `JournalFile.add_scores`."""
        await self._in_thread(self._file.add_scores, answers)

    async def add_recorded(self, recorded: Sequence[tuple[Answer, str]]) -> None:
        """See `JournalFile.add_recorded`."""
        await self._in_thread(self._file.add_recorded, recorded)

    async def forget_recorded(self, answers: Sequence[Answer]) -> None:
        """See `JournalFile.forget_recorded`."""
        await self._in_thread(self._file.forget_recorded, answers)

    async def discard_failures(self) -> int:
        """See `JournalFile.discard_failures`."""
        return await self._in_thread(self._file.discard_failures)

    async def recording(self) -> Recording | None:
        """See `JournalFile.recording`."""
        return await self._in_thread(self._file.recording)

    async def set_recording(self, recording: Recording) -> None:
        """See `JournalFile.set_recording`."""
        await self._in_thread(self._file.set_recording, recording)

    async def traced(self) -> int:
        """See `JournalFile.traced`."""
        return await self._in_thread(self._file.traced)

    async def set_traced(self, seq: int) -> None:
        """See `JournalFile.set_traced`."""
        await self._in_thread(self._file.set_traced, seq)

    async def end(self) -> RunEnd:
        """See `JournalFile.end`."""
        return await self._in_thread(self._file.end)

    async def set_end(self, end: RunEnd) -> None:
        """See `JournalFile.set_end`."""
        await self._in_thread(self._file.set_end, end)

    async def read(self, reader: Callable[[JournalFile], _T]) -> _T:
        """What a function makes of the whole file, in the journal's thread."""
        return await self._in_thread(reader, self._file)

    async def _write_waiting(self) -> None:
        """Commit what waits until nothing does; what arrives meanwhile is in the next commit."""
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            batch, self._waiting = self._waiting, []
            problem: QaEvalError | None = None
            try:
                await self._in_thread(self._file.add_answers, [row for row, _ in batch])
            except QaEvalError as error:
                problem = error
            for _, written in batch:
                if written.done():
                    continue
                if problem is None:
                    written.set_result(None)
                else:
                    written.set_exception(problem)

    async def _in_thread(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))
        except (sqlite3.Error, OSError) as error:
            raise QaEvalError(
                f"The journal {self.path} cannot be written ({error}): free some space, or set QA_EVAL_DATA_DIR to "
                f"another folder; `qa-eval resume {self.path.parent.name}` continues with what is kept."
            ) from error
