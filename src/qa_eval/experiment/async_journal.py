"""The journal of a run that is in progress, for an event loop: all statements run in one thread of its own.

Answers that arrive together are committed together; `append` returns when the answer is durable.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from qa_eval.errors import QaEvalError
from qa_eval.experiment.answers import Answer, JudgeCall
from qa_eval.experiment.journal_file import JournalFile
from qa_eval.experiment.journal_schema import answer_row, call_row
from qa_eval.experiment.looks import TakenLook
from qa_eval.experiment.metadata import Recording, RunEnd, RunMetadata
from qa_eval.experiment.plan import Call, CallKey, Plan
from qa_eval.targets.outcome import Reply
from qa_eval.targets.pace import Pace

_P = ParamSpec("_P")
_T = TypeVar("_T")
_GATHER_S = 0.01
"""A commit costs more than the answers in it: those that arrive within this time share one."""


_Add = Callable[[JournalFile, Sequence[Any]], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A row that waits to be written."""

    add: _Add
    row: Any
    written: asyncio.Future[None]


class AsyncJournal:
    """An async context manager; its end waits for what is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: JournalFile
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: list[_Waiting] = []
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
        row = answer_row(call.system, call.example.id, call.repetition, reply)
        await self._write(JournalFile.add_answers, row)

    async def append_call(self, call: JudgeCall) -> None:
        """Keep one call of a judge; returns when it is durable.

        Raises:
            QaEvalError: It cannot be written.
        """
        await self._write(JournalFile.add_calls, call_row(call))

    async def plan(self) -> Plan:
        """See `JournalFile.plan`."""
        return await self._in_thread(self._file.plan)

    async def looks(self) -> list[TakenLook]:
        """See `JournalFile.looks`."""
        return await self._in_thread(self._file.looks)

    async def add_look(self, look: TakenLook) -> None:
        """See `JournalFile.add_look`."""
        await self._in_thread(self._file.add_look, look)

    async def count_by_example(self) -> list[tuple[str, str, int]]:
        """See `JournalFile.count_by_example`."""
        return await self._in_thread(self._file.count_by_example)

    async def means(self, metric: str, systems: Sequence[str]) -> Mapping[str, Mapping[str, float]]:
        """See `JournalFile.means`."""
        return await self._in_thread(self._file.means, metric, systems)

    async def answers(self, after: int = 0, limit: int = -1) -> list[Answer]:
        """See `JournalFile.answers`."""
        return await self._in_thread(self._file.answers, after, limit)

    async def unscored(self, after: int, limit: int) -> list[Answer]:
        """See `JournalFile.unscored`."""
        return await self._in_thread(self._file.unscored, after, limit)

    async def unrecorded(self) -> list[int]:
        """See `JournalFile.unrecorded`."""
        return await self._in_thread(self._file.unrecorded)

    async def by_number(self, numbers: Sequence[int]) -> list[Answer]:
        """See `JournalFile.by_number`."""
        return await self._in_thread(self._file.by_number, numbers)

    async def find(self, key: CallKey) -> Answer | None:
        """See `JournalFile.find`."""
        return await self._in_thread(self._file.find, key)

    async def find_call(self, key: str) -> JudgeCall | None:
        """See `JournalFile.find_call`."""
        return await self._in_thread(self._file.find_call, key)

    async def calls(self, after: int = 0, limit: int = -1) -> list[JudgeCall]:
        """See `JournalFile.calls`."""
        return await self._in_thread(self._file.calls, after, limit)

    async def discard_failed_calls(self) -> int:
        """See `JournalFile.discard_failed_calls`."""
        return await self._in_thread(self._file.discard_failed_calls)

    async def set_metadata(self, metadata: RunMetadata) -> None:
        """See `JournalFile.set_metadata`."""
        await self._in_thread(self._file.set_metadata, metadata)

    async def reopen_scores(self) -> None:
        """See `JournalFile.reopen_scores`."""
        await self._in_thread(self._file.reopen_scores)

    async def count_answers(self) -> int:
        """See `JournalFile.count_answers`."""
        return await self._in_thread(self._file.count_answers)

    async def complete(self, answer: Answer) -> None:
        """Keep an answer's scores, together with those that are complete at about the same time."""
        await self._write(JournalFile.add_scores, answer)

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

    async def traced(self, what: str = "traced") -> int:
        """See `JournalFile.traced`."""
        return await self._in_thread(self._file.traced, what)

    async def set_traced(self, seq: int, what: str = "traced") -> None:
        """See `JournalFile.set_traced`."""
        await self._in_thread(self._file.set_traced, seq, what)

    async def pace(self) -> Pace:
        """See `JournalFile.pace`."""
        return await self._in_thread(self._file.pace)

    async def set_pace(self, pace: Pace) -> None:
        """See `JournalFile.set_pace`."""
        await self._in_thread(self._file.set_pace, pace)

    async def end(self) -> RunEnd:
        """See `JournalFile.end`."""
        return await self._in_thread(self._file.end)

    async def set_end(self, end: RunEnd) -> None:
        """See `JournalFile.set_end`."""
        await self._in_thread(self._file.set_end, end)

    async def read(self, reader: Callable[[JournalFile], _T]) -> _T:
        """What a function makes of the whole file, in the journal's thread."""
        return await self._in_thread(reader, self._file)

    async def _write(self, add: _Add, row: Any) -> None:
        """Write a row; returns when it is durable."""
        waiting = _Waiting(add, row, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_waiting())
        await waiting.written

    async def _write_waiting(self) -> None:
        """Commit what waits until nothing does; what arrives meanwhile is in the next commit."""
        while self._waiting:
            await asyncio.sleep(_GATHER_S)
            batch, self._waiting = self._waiting, []
            for add in dict.fromkeys(waiting.add for waiting in batch):
                await self._commit(add, [waiting for waiting in batch if waiting.add is add])

    async def _commit(self, add: _Add, batch: Sequence[_Waiting]) -> None:
        problem: QaEvalError | None = None
        try:
            await self._in_thread(add, self._file, [waiting.row for waiting in batch])
        except QaEvalError as error:
            problem = error
        for waiting in batch:
            if waiting.written.done():
                continue
            if problem is None:
                waiting.written.set_result(None)
            else:
                waiting.written.set_exception(problem)

    async def _in_thread(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))
        except (sqlite3.Error, OSError) as error:
            raise QaEvalError(
                f"The journal {self.path} cannot be written ({error}): free some space, or set QA_EVAL_DATA_DIR to "
                f"another folder; `qa-eval resume {self.path.parent.name}` continues with what is kept."
            ) from error
