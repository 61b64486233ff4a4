"""The run itself: questions go out at the gateway's pace, the journal keeps, scoring and recording follow beside them.

One event loop. Each stage takes from the journal what the stage before has put there, so that a slow Phoenix never
holds up the answering and memory does not grow with the run.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter

from qa_eval.errors import PhoenixAway, PhoenixError
from qa_eval.experiment.budget import Limits
from qa_eval.experiment.journal_file import Entry, Journal, Ledger
from qa_eval.experiment.observer import Observer, Report, Silent
from qa_eval.experiment.plan import Plan, Task
from qa_eval.experiment.recorder import Recorder
from qa_eval.experiment.scoring import Similarity, score, score_own, score_squad
from qa_eval.metrics.custom import Metric
from qa_eval.targets.limiter import Pace
from qa_eval.targets.outcome import Asker, Outcome, Reply
from qa_eval.targets.prompt import Prompt, declines
from qa_eval.tracing.context import TraceContext, new_trace

BATCH = 64
_GATHER_S = 0.1
"""What arrives within this time is scored, and recorded, together."""
_TRACE_EVERY_S = 0.2
"""Phoenix keeps a trace in the project of the span that arrives first: ours should come before the gateway's, which
sends every 5 s."""
_SPANS = 128
_REOPEN_S = 5.0
TRIES = 4
PATIENCE_S = 60.0
"""How long a gateway that was there may be unreachable before the run stops; nothing is asked and nothing fails."""
_LONGEST_PAUSE_S = 30.0

Fetch = Callable[[Ledger, int, int], list[Entry]]
"""Answers after a number, so many at most."""


class _Unreachable(Exception):
    """The gateway was not there for longer than our patience."""


@dataclass
class Engine:
    """Runs a plan, or what is left of it."""

    plan: Plan
    journal: Journal
    asker: Asker
    similarity: Similarity
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """Own metrics, by name."""
    recorder: Recorder | None = None
    observer: Observer = field(default_factory=Silent)
    report: Report = lambda line: None

    stopped: str | None = field(default=None, init=False)
    """Why the run ended before all questions were asked."""
    unrecorded: str | None = field(default=None, init=False)
    """Why Phoenix lacks something."""
    answering_s: float = field(default=0.0, init=False)
    """From the first question to the last answer."""

    def __post_init__(self) -> None:
        self._limits = Limits(self.plan.settings, len(self.plan))
        self._pace = Pace(self.plan.settings.concurrency)
        settings = self.plan.settings
        # An own task finds its example by the id.
        self._message = attrgetter("id") if settings.asks_task else Prompt(settings.prompt).fill
        self._answers, self._scores = _Stage(), _Stage()
        self._away_since: float | None = None

    async def run(self) -> None:
        """Ask what is not answered yet, or until a limit says stop; then score and record what there is.

        Raises:
            QaEvalError: The journal cannot be written.
        """
        try:
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._answer())
                stages.create_task(self._score_all())
                if self.recorder is not None:
                    stages.create_task(self._record(self.recorder))
        except BaseExceptionGroup as group:
            # Many questions may have met the same full disk: the user reads of it once.
            raise _first(group) from group

    async def _answer(self) -> None:
        earlier = await self.journal.run(lambda ledger: ledger.answers())
        for entry in earlier:
            self._limits.count(entry.reply, earlier=True)
        start = time.perf_counter()
        await self._ask_all({entry.key for entry in earlier})
        self.answering_s = time.perf_counter() - start
        self.stopped = self.stopped or self._limits.reason
        self._answers.end()

    async def _ask_all(self, answered: set[tuple[str, str, int]]) -> None:
        async with asyncio.TaskGroup() as questions:
            for task in self.plan.tasks():
                if task.key in answered:
                    continue
                await self._pace.acquire()
                if self.stopped or not self._limits.may_send():
                    self._pace.release()
                    return
                question = questions.create_task(self._one(task))
                question.add_done_callback(lambda _: self._pace.release())
                if self._limits.must_wait:
                    await question

    async def _one(self, task: Task) -> None:
        """Ask one question and keep its answer; until that is done it is under way, and a kill may lose it."""
        try:
            reply = await self._ask(task)
        except _Unreachable as away:
            self.stopped = self.stopped or str(away)
            return
        if self.plan.dataset.version == "2.0" and declines(reply.text):
            reply = replace(reply, outcome=Outcome.NO_ANSWER, text="")
        self._limits.count(reply)
        await self.journal.append(task.model, task.example.id, task.repetition, reply)
        self._answers.tell()
        entry = Entry(task.model, task.example, reply)
        self.observer.answered(task.model, reply, *score_squad(entry, self.plan.dataset.version))

    async def _ask(self, task: Task) -> Reply:
        """Ask until there is an answer, or a failure that asking again does not mend."""
        settings, trace = self.plan.settings, new_trace() if self.recorder is not None else None
        prompt, tries = self._message(task.example), 0
        while True:
            attempt = await self.asker.ask(
                task.model,
                prompt,
                temperature=settings.temperature,
                max_tokens=settings.max_tokens,
                traceparent=trace.traceparent if trace else None,
            )
            if attempt.unreachable:
                await self._wait_for_gateway(attempt.reply.message)
                continue
            self._away_since, tries = None, tries + 1
            if attempt.reply.outcome in (Outcome.RATE_LIMITED, Outcome.TIMEOUT):
                self._pace.throttled(attempt.retry_after_s)
            if not attempt.retry or tries == TRIES:
                if not attempt.reply.outcome.is_error:
                    self._pace.answered(attempt.reply.latency_s)
                return _traced(replace(attempt.reply, tries=tries), trace)
            await asyncio.sleep(_pause(attempt.retry_after_s, tries))

    async def _wait_for_gateway(self, problem: str) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if self.stopped or now - self._away_since > PATIENCE_S:
            raise _Unreachable(f"the gateway was away for {PATIENCE_S:g} s: {problem}.")
        await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311

    async def _score_all(self) -> None:
        await self._follow(Ledger.unscored, self._score, self._answers)
        self._scores.end()

    async def _score(self, entries: list[Entry]) -> None:
        scores = await asyncio.to_thread(score, entries, self.plan.dataset.version, self.similarity)
        own = await score_own(entries, self.metrics)
        scored = [replace(e, scores=s, own_scores=o) for e, s, o in zip(entries, scores, own, strict=True)]
        await self.journal.run(lambda ledger: ledger.add_scores(scored))
        self._scores.tell()

    async def _record(self, recorder: Recorder) -> None:
        """Record until Phoenix has everything, or until it has stayed away after the last answer was scored."""

        async def record(entries: list[Entry]) -> None:
            await recorder.record(entries)
            self.observer.recorded(len(entries))

        try:
            while not await self._patiently(lambda: self._open(recorder)):  # noqa: ASYNC110
                await asyncio.sleep(_REOPEN_S)
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._trace(recorder))
                stages.create_task(self._follow(Ledger.unrecorded, record, self._scores))
            await self._verify(recorder)
        except* PhoenixError as group:
            self.unrecorded = str(_first(group))

    async def _open(self, recorder: Recorder) -> None:
        if recorder.recording is None:
            await recorder.open(self.report)

    async def _trace(self, recorder: Recorder) -> None:
        """The questions' spans; how far they are sent is noted, so that a later process sends the rest."""
        facts = await self.journal.run(lambda ledger: ledger.facts())

        def untraced(ledger: Ledger, after: int, limit: int) -> list[Entry]:
            ledger.note("traced", after)
            return ledger.answers(after, limit)

        async def send(entries: list[Entry]) -> None:
            await recorder.trace(entries)
            await asyncio.sleep(_TRACE_EVERY_S)

        await self._follow(untraced, send, self._answers, start=facts.get("traced", 0), batch=_SPANS)

    async def _verify(self, recorder: Recorder) -> None:
        """Ask Phoenix whether it has all, and record again what it lacks."""
        scored = [entry for entry in await self.journal.run(lambda ledger: ledger.answers()) if entry.scores]
        missing = await recorder.missing(scored)
        if missing:
            self.report(f"Phoenix lacks {len(missing)} of {len(scored)} answers after all: recording them again")
            await self.journal.run(lambda ledger: ledger.forget_recorded(missing))
            await recorder.record(missing)
            if still := await recorder.missing(missing):
                await self.journal.run(lambda ledger: ledger.forget_recorded(still))
                raise PhoenixError(f"Phoenix took {len(still)} answers and does not have them: see its log.")

    async def _follow(
        self,
        fetch: Fetch,
        work: Callable[[list[Entry]], Awaitable[None]],
        before: _Stage,
        *,
        start: int = 0,
        batch: int = BATCH,
    ) -> None:
        """Work on what the stage before leaves in the journal until that is done and nothing is left."""
        after = start
        while True:
            finished = before.has_ended
            entries = await self.journal.run(lambda ledger, after=after: fetch(ledger, after, batch))  # type: ignore[misc]
            if entries:
                if await self._patiently(lambda entries=entries: work(entries)):  # type: ignore[misc]
                    after = entries[-1].seq
            elif finished:
                return
            else:
                await before.more()

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Whether it worked; while the run goes on anyway, a Phoenix that is away is no error."""
        last = self._scores.has_ended
        try:
            await work()
        except PhoenixAway:
            if last:
                raise
            return False
        return True


class _Stage:
    """How far a stage is: the one after it waits for more, or for the end."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.has_ended = False

    def tell(self) -> None:
        """There is more in the journal."""
        self._news.set()

    def end(self) -> None:
        """There will be no more."""
        self.has_ended = True
        self._news.set()

    async def more(self) -> None:
        """Wait until there is more or the end, and a moment longer, so that work comes in batches."""
        await self._news.wait()
        if not self.has_ended:
            await asyncio.sleep(_GATHER_S)
            self._news.clear()


def _traced(reply: Reply, trace: TraceContext | None) -> Reply:
    return replace(reply, trace_id=trace.trace_id, span_id=trace.span_id) if trace else reply


def _pause(retry_after_s: float | None, tries: int) -> float:
    """Seconds until the next try: what the gateway asks for, else growing, with jitter."""
    if retry_after_s is not None:
        return min(retry_after_s, _LONGEST_PAUSE_S)
    return random.uniform(0.5, 1.0) * min(2.0 ** (tries - 1), _LONGEST_PAUSE_S)  # noqa: S311


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
