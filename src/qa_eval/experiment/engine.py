"""The run itself: workers ask, the journal keeps, scoring and recording follow beside them.

One event loop. Each stage takes from the journal what the stage before has put there, so that a slow Phoenix never
holds up the answering and memory does not grow with the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from qa_eval.errors import PhoenixError
from qa_eval.experiment.journal import Entry, Journal
from qa_eval.experiment.plan import Plan, Task
from qa_eval.experiment.recorder import Recorder
from qa_eval.experiment.scoring import Similarity, score, score_squad
from qa_eval.gateway.client import GatewayClient
from qa_eval.gateway.prompt import Prompt, declines
from qa_eval.gateway.reply import Outcome, Reply
from qa_eval.gateway.tracing import Tracing

BATCH = 64
_POLL_S = 0.05
_EARLY = 20
"""So many failures and no answer at all: the gateway is broken, not the questions."""


class Observer(Protocol):
    """Who is told how a run goes; called on the event loop, so quickly."""

    def started(self, plan: Plan, journal: Journal) -> None:
        """The run begins; its journal is there."""

    def answered(self, model: str, reply: Reply, exact_match: float, f1: float) -> None:
        """One answer is durable."""

    def recorded(self, count: int) -> None:
        """Phoenix has `count` more answers with all their scores."""


class Silent:
    """An observer that says nothing."""

    def started(self, plan: Plan, journal: Journal) -> None: ...

    def answered(self, model: str, reply: Reply, exact_match: float, f1: float) -> None: ...

    def recorded(self, count: int) -> None: ...


@dataclass
class Engine:
    """Runs a plan."""

    plan: Plan
    journal: Journal
    gateway: GatewayClient
    similarity: Similarity
    recorder: Recorder | None = None
    tracing: Tracing | None = None
    projects: Mapping[str, str] = field(default_factory=dict)
    """The Phoenix project of each model's traces."""
    observer: Observer = field(default_factory=Silent)

    stopped: str | None = field(default=None, init=False)
    """Why the run ended before all questions were asked."""
    unrecorded: str | None = field(default=None, init=False)
    """Why Phoenix lacks something."""
    answering_s: float = field(default=0.0, init=False)
    """From the first question to the last answer."""

    async def run(self) -> None:
        """Ask everything, or until a limit says stop; then score and record what there is.

        Raises:
            QaEvalError: The journal cannot be written.
        """
        answered, scored = asyncio.Event(), asyncio.Event()
        try:
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._answer(answered))
                stages.create_task(_follow(self.journal.unscored, self._score, answered, scored))
                if self.recorder is not None:
                    stages.create_task(self._record(scored))
        except BaseExceptionGroup as group:
            # Many workers may have met the same full disk: the user reads of it once.
            raise _first(group) from group

    async def _answer(self, answered: asyncio.Event) -> None:
        tasks = iter(self.plan.tasks())
        tally = _Tally(len(self.plan.dataset) * len(self.plan.settings.models), self.plan.settings.max_errors)
        prompt = Prompt(self.plan.settings.prompt)

        async def worker() -> None:
            for task in tasks:
                if self.stopped:
                    return
                reply = await self._ask(task, prompt)
                await self.journal.append(task.model, task.example.id, reply)
                entry = Entry(task.model, task.example, reply)
                self.observer.answered(task.model, reply, *score_squad(entry, self.plan.dataset.version))
                self.stopped = self.stopped or tally.count(reply)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as workers:
            for _ in range(self.plan.settings.concurrency):
                workers.create_task(worker())
        self.answering_s = time.perf_counter() - start
        answered.set()

    async def _ask(self, task: Task, prompt: Prompt) -> Reply:
        settings = self.plan.settings
        span = (
            nullcontext(None)
            if self.tracing is None
            else self.tracing.question(
                self.projects[task.model], task.example.question, model=task.model, example=task.example.id
            )
        )
        with span as root:
            reply = await self.gateway.ask(
                task.model,
                prompt.fill(task.example),
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                traceparent=root.traceparent if root else None,
                trace_id=root.trace_id if root else None,
            )
            if self.plan.dataset.version == "2.0" and declines(reply.text):
                reply = replace(reply, outcome=Outcome.NO_ANSWER, text="")
            if root:
                failure = None if reply.outcome.is_answer else f"{reply.outcome}: {reply.message}"
                root.finish(reply.text, failure)
        return reply

    async def _score(self, entries: list[Entry]) -> None:
        scores = await asyncio.to_thread(score, entries, self.plan.dataset.version, self.similarity)
        await self.journal.add_scores(list(zip(entries, scores, strict=True)))

    async def _record(self, scored: asyncio.Event) -> None:
        assert self.recorder is not None
        recorder = self.recorder

        async def record(entries: list[Entry]) -> None:
            self.observer.recorded(await recorder.record(entries))

        try:
            await _follow(self.journal.unrecorded, record, scored, asyncio.Event())
        except PhoenixError as error:
            self.unrecorded = str(error)


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Tally:
    """Counts answers and failures, and says when to stop."""

    def __init__(self, total: int, max_errors: float) -> None:
        self._allowed = max_errors * total
        self._share = max_errors
        self._done = 0
        self._failed = 0

    def count(self, reply: Reply) -> str | None:
        """Count one reply; the reason to stop, if there is one."""
        self._done += 1
        self._failed += reply.outcome.is_error
        broken = self._share < 1 and self._done == self._failed >= _EARLY
        if self._failed > self._allowed or broken:
            return (
                f"{self._failed} of {self._done} questions failed, more than --max-errors {self._share:.0%} allows; "
                f"the last: {reply.outcome}: {reply.message}"
            )
        return None


async def _follow(
    fetch: Callable[[int], Awaitable[list[Entry]]],
    work: Callable[[list[Entry]], Awaitable[None]],
    before: asyncio.Event,
    after: asyncio.Event,
) -> None:
    """Work on what the stage before leaves in the journal until it is done and nothing is left."""
    while True:
        finished = before.is_set()
        entries = await fetch(BATCH)
        if entries:
            await work(entries)
        elif finished:
            after.set()
            return
        else:
            await asyncio.sleep(_POLL_S)
