"""The run itself: questions are asked as fast as the target allows; scoring and recording follow beside them.

One event loop. Each stage takes from the journal what the stage before has put there, so that a slow Phoenix never
delays the answering.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ParamSpec

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt

from qa_eval.errors import PhoenixError, PhoenixUnavailable
from qa_eval.experiment.answers import Answer
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.budget import Budget
from qa_eval.experiment.observer import RunContext
from qa_eval.experiment.plan import Call, CallKey, Plan
from qa_eval.experiment.recorder import SPANS, Recorder
from qa_eval.experiment.scoring import Scorer
from qa_eval.retries import pause
from qa_eval.targets.base import Attempt, Target
from qa_eval.targets.limiter import ConcurrencyLimiter
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.tracing.context import TraceContext, new_trace

_P = ParamSpec("_P")
BATCH = 64
_GATHER_S = 0.1
"""What arrives within this time is scored, and recorded, together."""
_TRACE_EVERY_S = 0.2
"""Phoenix keeps a trace in the project of the span that arrives first: ours should come before the gateway's, which
sends every 5 s."""
_REOPEN_S = 5.0
TRIES = 4
PATIENCE_S = 60.0
"""How long a target that was there may be unreachable before the run stops; nothing is asked and nothing fails."""

Fetch = Callable[[int, int], Awaitable[list[Answer]]]
"""Answers after a number, so many at most."""


class _Unreachable(Exception):
    """The target was unreachable for longer than our patience."""


@dataclass
class Engine:
    """Runs a plan, or what is left of it."""

    plan: Plan
    journal: AsyncJournal
    targets: Mapping[str, Target]
    """By the system's name."""
    scorer: Scorer
    recorder: Recorder | None = None
    context: RunContext = field(default_factory=RunContext)

    stopped: str | None = field(default=None, init=False)
    """Why the run ended before all questions were asked."""
    unrecorded: str | None = field(default=None, init=False)
    """Why Phoenix lacks something."""
    answering_s: float = field(default=0.0, init=False)
    """From the first question to the last answer."""

    def __post_init__(self) -> None:
        concurrency = self.plan.spec.concurrency
        self._budget = Budget(self.plan.spec.limits, len(self.plan))
        self._limiter = ConcurrencyLimiter(None if isinstance(concurrency, str) else concurrency)
        self._answers, self._scores = _Stage(), _Stage()
        self._unreachable_since: float | None = None

    async def run(self) -> None:
        """Ask what is not answered yet, or until a limit stops it; then score and record what there is.

        Raises:
            QaEvalError: The journal cannot be written.
        """
        try:
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._answer_all())
                stages.create_task(self._score_all())
                if self.recorder is not None:
                    stages.create_task(self._record_all(self.recorder))
        except BaseExceptionGroup as group:
            # Many questions may have met the same full disk: the user reads of it once.
            raise _first(group) from group

    # --- asking -----------------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        earlier = await self.journal.answers()
        for answer in earlier:
            self._budget.count(answer.reply, earlier=True)
        start = time.perf_counter()
        await self._ask_all({answer.key for answer in earlier})
        self.answering_s = time.perf_counter() - start
        self.stopped = self.stopped or self._budget.reason
        self._answers.end()

    async def _ask_all(self, answered: set[CallKey]) -> None:
        async with asyncio.TaskGroup() as questions:
            for call in self.plan.calls():
                if call.key in answered:
                    continue
                await self._limiter.acquire()
                if self.stopped or not self._budget.reserve():
                    self._limiter.release()
                    return
                question = questions.create_task(self._answer(call))
                question.add_done_callback(self._release)
                if self._budget.must_wait:
                    await question

    def _release(self, question: asyncio.Task[None]) -> None:
        self._limiter.release()

    async def _answer(self, call: Call) -> None:
        """Ask one question and keep its answer; until that is done it is in flight, and a kill may lose it."""
        try:
            reply = await self._generate(call)
        except _Unreachable as unreachable:
            self.stopped = self.stopped or str(unreachable)
            return
        self._budget.count(reply)
        await self.journal.append(call, reply)
        self._answers.advance()
        self.context.observer.answered(call.system, reply)

    async def _generate(self, call: Call) -> Reply:
        """Try until there is an answer, or a failure that another try does not help."""
        trace = new_trace(call.system) if self.recorder is not None else None
        tries = AsyncRetrying(
            retry=retry_if_result(_may_retry), stop=stop_after_attempt(TRIES), wait=_pause, retry_error_callback=_last
        )
        attempt: Attempt = await tries(self._try, call, trace)
        if not attempt.reply.outcome.is_error:
            self._limiter.answered(attempt.reply.latency_s)
        reply = replace(attempt.reply, tries=tries.statistics["attempt_number"])
        return replace(reply, trace_id=trace.trace_id, span_id=trace.span_id) if trace else reply

    async def _try(self, call: Call, trace: TraceContext | None) -> Attempt:
        """One try that reaches the target."""
        while (attempt := await self.targets[call.system].generate(call.example, trace)).unreachable:
            await self._wait_for_target(attempt.reply.message)
        self._unreachable_since = None
        if attempt.reply.outcome in (Outcome.RATE_LIMITED, Outcome.TIMEOUT):
            self._limiter.throttled(attempt.retry_after_s)
        return attempt

    async def _wait_for_target(self, problem: str) -> None:
        now = time.monotonic()
        self._unreachable_since = self._unreachable_since or now
        if self.stopped or now - self._unreachable_since > PATIENCE_S:
            raise _Unreachable(f"the gateway was unreachable for {PATIENCE_S:g} s: {problem}.")
        await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311

    # --- scoring ----------------------------------------------------------------------------------------------------

    async def _score_all(self) -> None:
        await self._follow(self.journal.unscored, self._score, self._answers)
        self._scores.end()

    async def _score(self, answers: list[Answer]) -> None:
        scored = await self.scorer.score(answers)
        await self.journal.add_scores(scored)
        self._scores.advance()
        self.context.observer.scored(scored)

    # --- recording --------------------------------------------------------------------------------------------------

    async def _record_all(self, recorder: Recorder) -> None:
        """Record until Phoenix has everything, or until it was unavailable after the last answer was scored."""
        try:
            while not await self._patiently(self._open, recorder):  # noqa: ASYNC110
                await asyncio.sleep(_REOPEN_S)
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._follow(self._untraced, self._trace, self._answers, batch=SPANS))
                stages.create_task(self._follow(self.journal.unrecorded, self._record, self._scores))
            await self._verify(recorder)
        except* PhoenixError as group:
            self.unrecorded = str(_first(group))

    async def _open(self, recorder: Recorder) -> None:
        if recorder.recording is None:
            await recorder.open(self.context.on_progress)

    async def _record(self, answers: list[Answer]) -> None:
        assert self.recorder is not None, "only then"
        await self.recorder.record(answers)
        self.context.observer.recorded(len(answers))

    async def _untraced(self, after: int, limit: int) -> list[Answer]:
        """Answers whose span is not sent. How far they are sent is kept, so that a later process sends the rest."""
        if after:
            await self.journal.set_traced(after)
        return await self.journal.answers(after or await self.journal.traced(), limit)

    async def _trace(self, answers: list[Answer]) -> None:
        assert self.recorder is not None, "only then"
        await self.recorder.trace(answers)
        await asyncio.sleep(_TRACE_EVERY_S)

    async def _verify(self, recorder: Recorder) -> None:
        """Ask Phoenix whether it has all, and record again what it lacks."""
        answers = await self.journal.answers()
        await recorder.trace_again(answers)
        scored = [answer for answer in answers if answer.scores is not None]
        missing = await recorder.missing(scored)
        if missing:
            self.context.on_progress(f"Phoenix lacks {len(missing)} of {len(scored)} answers: recording them again")
            await self.journal.forget_recorded(missing)
            await recorder.record(missing)
            if still := await recorder.missing(missing):
                await self.journal.forget_recorded(still)
                raise PhoenixError(f"Phoenix accepted {len(still)} answers and does not have them: see its log.")

    # --- stages -----------------------------------------------------------------------------------------------------

    async def _follow(
        self, fetch: Fetch, work: Callable[[list[Answer]], Awaitable[None]], before: _Stage, *, batch: int = BATCH
    ) -> None:
        """Work on what the stage before leaves in the journal until that is done and nothing is left."""
        after = 0
        while True:
            finished = before.has_ended
            answers = await fetch(after, batch)
            if answers:
                if await self._patiently(work, answers):
                    after = answers[-1].seq
            elif finished:
                return
            else:
                await before.more()

    async def _patiently(self, work: Callable[_P, Awaitable[None]], *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """Whether it worked; while the run continues anyway, an unavailable Phoenix is not an error."""
        last = self._scores.has_ended
        try:
            await work(*args, **kwargs)
        except PhoenixUnavailable:
            if last:
                raise
            return False
        return True


class _Stage:
    """How far a stage is: the one after it waits for more, or for the end."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.has_ended = False

    def advance(self) -> None:
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


def _may_retry(attempt: Attempt) -> bool:
    return attempt.retry


def _last(state: RetryCallState) -> Attempt:
    """The result of the last try."""
    assert state.outcome is not None, "there was a try"
    attempt: Attempt = state.outcome.result()
    return attempt


def _pause(state: RetryCallState) -> float:
    return pause(state, _last(state).retry_after_s)


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
