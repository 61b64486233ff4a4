"""The run itself: questions are asked as fast as the target allows; scoring and recording follow beside them.

One event loop. Each stage takes from the journal what the stage before has put there, so that a slow Phoenix, or a
slow judge, never delays the answering.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from qa_eval.errors import PhoenixError, PhoenixUnavailable
from qa_eval.experiment.answers import Answer, JudgeCall
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.budget import Budget
from qa_eval.experiment.calls import Caller, Unreachable
from qa_eval.experiment.judging import Judging
from qa_eval.experiment.looks import TakenLook
from qa_eval.experiment.observer import RunContext
from qa_eval.experiment.plan import Call, CallKey, Plan
from qa_eval.experiment.recorder import SPANS, Recorder
from qa_eval.experiment.scoring import Scorer
from qa_eval.experiment.stage import Stage
from qa_eval.experiment.stopping import Stopping
from qa_eval.metrics.base import NotScored
from qa_eval.metrics.planted import Planted
from qa_eval.targets.base import Attempt, Target
from qa_eval.targets.limiter import ConcurrencyLimiter, Slot
from qa_eval.targets.outcome import Reply
from qa_eval.tracing.context import new_trace

_P = ParamSpec("_P")
_log = logging.getLogger(__name__)
BATCH = 64
SCORED_TOGETHER = 1_024
"""At most: of what waits, embeddings take the texts of one length together."""
_TRACE_EVERY_S = 0.2
"""Phoenix keeps a trace in the project of the span that arrives first: ours should come before the gateway's, which
sends every 5 s."""
_REOPEN_S = 5.0
_PACE_EVERY_S = 2.0
JUDGED_AT_ONCE = 512
"""Maximum number of answers whose judgements are pending: a bound for memory. The limiter bounds the calls."""

_Numbered = TypeVar("_Numbered", Answer, JudgeCall)
Fetch = Callable[[int, int], Awaitable[list[_Numbered]]]
"""What comes after a number, so many at most."""


@dataclass
class Engine:
    """Runs a plan, or what is left of it."""

    plan: Plan
    journal: AsyncJournal
    targets: Mapping[str, Target]
    """By the system's name."""
    scorer: Scorer
    budget: Budget
    judging: Judging | None = None
    stopping: Stopping | None = None
    """Takes the looks of a run that stops early."""
    planted: Mapping[str, Sequence[Planted]] = field(default_factory=dict)
    """The planted answers that each judge is measured with, by its metric."""
    recorder: Recorder | None = None
    context: RunContext = field(default_factory=RunContext)
    asks: bool = True
    """Whether questions are asked; otherwise the answers that there are get scores."""

    stopped: str | None = field(default=None, init=False)
    """Why the run ended before all questions were asked."""
    unrecorded: str | None = field(default=None, init=False)
    """Why Phoenix lacks something."""
    answering_s: float = field(default=0.0, init=False)
    """From the first question to the last answer."""

    def __post_init__(self) -> None:
        self._limiter = ConcurrencyLimiter(self.plan.spec.slots)
        self._caller = Caller(self._limiter, self._is_stopped)
        self._answers, self._scores = Stage(), Stage()
        self._code_scores = Stage(gather_s=0.0)
        self._code_scored = 0
        self._not_scored: set[int] = set()
        self._ready: list[int] = []

    async def run(self) -> None:
        """Ask what is not answered yet, or until a limit stops it; then score and record what there is.

        Raises:
            QaEvalError: The journal cannot be written.
        """
        try:
            if self.stopping is not None:
                self._report(await self.stopping.start())
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._answer_all())
                stages.create_task(self._keep_pace())
                stages.create_task(self._score_all())
                if self.judging is not None:
                    stages.create_task(self._judge_all(self.judging))
                if self.recorder is not None:
                    stages.create_task(self._record_all(self.recorder))
        except BaseExceptionGroup as group:
            # Many questions may have met the same full disk: the user reads of it once.
            raise _first(group) from group
        self.stopped = self.stopped or self.budget.reason

    # --- asking -----------------------------------------------------------------------------------------------------

    async def _answer_all(self) -> None:
        earlier = await self.journal.answers()
        for answer in earlier:
            self.budget.count(answer.reply, earlier=True)
        for call in await self.journal.calls():
            self.budget.count_judgement(call.reply, failed=call.failure, earlier=True)
        start = time.perf_counter()
        if self.asks:
            await self._ask_all({answer.key for answer in earlier})
        self.answering_s = time.perf_counter() - start
        self._answers.end()
        if self.judging is not None:
            self.judging.end_of_answers()

    async def _ask_all(self, answered: set[CallKey]) -> None:
        async with asyncio.TaskGroup() as questions:
            for call in self.plan.calls():
                if call.key in answered or not await self._is_asked(call):
                    continue
                slot = await self._limiter.acquire()
                if not await self._is_asked(call):
                    slot.release()
                    continue
                if self.stopped or not self.budget.reserve():
                    slot.release()
                    return
                question = questions.create_task(self._answer(call, slot))
                question.add_done_callback(slot.release)
                if self.budget.must_wait:
                    await question

    async def _is_asked(self, call: Call) -> bool:
        """Whether a question is still asked, once the looks that it waits for are taken."""
        if self.stopping is None:
            return True
        while self.stopping.must_wait(call) and not (self.stopped or self.budget.reason):
            await self.stopping.news()
        return self.stopping.asks(call)

    async def _answer(self, call: Call, slot: Slot) -> None:
        """Ask one question and keep its answer; until that is done it is in flight, and a kill may lose it."""
        try:
            reply = await self._generate(call, slot)
        except Unreachable as unreachable:
            self.stopped = self.stopped or str(unreachable)
            return
        self.budget.count(reply)
        await self.journal.append(call, reply)
        self._answers.advance()
        if self.judging is not None:
            self.judging.answered(call.key)
        self.context.observer.answered(call.system, reply)

    async def _generate(self, call: Call, slot: Slot) -> Reply:
        traced = self.recorder is not None and self.recorder.wants(call.example.id)
        trace = new_trace(call.system) if traced else None

        async def once() -> Attempt:
            attempt = await self.targets[call.system].generate(call.example, trace)
            shown = (call.system, call.example.id, attempt.reply.outcome.value, attempt.reply.latency_s)
            _log.info("%s asked %s: %s in %.2f s", *shown)
            return attempt

        reply = await self._caller.call(once, slot)
        return replace(reply, trace_id=trace.trace_id, span_id=trace.span_id) if trace else reply

    async def _keep_pace(self) -> None:
        """Keep in the journal what the limiter knows, now and then and at the end of the answers."""
        kept, earlier = None, await self.journal.pace()
        while True:
            finished = self._answers.has_ended
            if (pace := self._limiter.pace()) != kept and self.asks:
                await self.journal.set_pace(earlier.then(pace))
                kept = pace
            if finished:
                return
            await self._answers.end_within(_PACE_EVERY_S)

    def _is_stopped(self) -> bool:
        return self.stopped is not None

    # --- scoring ----------------------------------------------------------------------------------------------------

    async def _score_all(self) -> None:
        await self._take_unrecorded()
        await self._follow(self.journal.unscored, self._score, self._answers, batch=SCORED_TOGETHER)
        self._code_scores.end()
        if self.judging is None:
            self._scores.end()

    async def _score(self, answers: list[Answer]) -> None:
        scored = await self.scorer.score(answers)
        if self.judging is None:
            await self.journal.add_scores(scored)
            await self._completed(scored)
            return
        self._not_scored |= {answer.seq for answer in scored if not answer.scored}
        await self.journal.add_scores([replace(answer, scored=False) for answer in scored])
        self._code_scored = scored[-1].seq
        self._code_scores.advance()

    async def _judge_all(self, judging: Judging) -> None:
        """Judge what has all other scores, beside the answering; then planted answers, which may be the same texts."""
        slots = asyncio.Semaphore(JUDGED_AT_ONCE)
        async with asyncio.TaskGroup() as judgements:

            async def start(answers: list[Answer]) -> None:
                for answer in answers:
                    await slots.acquire()
                    task = judgements.create_task(self._judge(judging, answer))
                    task.add_done_callback(lambda _: slots.release())

            await self._follow(self._unjudged, start, self._code_scores)
            for metric, planted in self.planted.items():
                judgements.create_task(judging.plant(metric, planted))
        self._scores.end()

    async def _unjudged(self, after: int, limit: int) -> list[Answer]:
        """Answers that have all scores but a judge's."""
        return [answer for answer in await self.journal.unscored(after, limit) if answer.seq <= self._code_scored]

    async def _judge(self, judging: Judging, answer: Answer) -> None:
        if answer.seq in self._not_scored:
            return
        try:
            judged = await judging.judge(answer)
        except NotScored:
            return
        await self.journal.complete(judged)
        await self._completed([judged])

    async def _completed(self, answers: list[Answer]) -> None:
        """Let answers with all their scores be recorded, and take the looks that waited for them."""
        self._ready += [answer.seq for answer in answers]
        self._scores.advance()
        self.context.observer.scored(answers)
        if self.stopping is not None:
            self._report(await self.stopping.scored(answers))

    def _report(self, looks: Iterable[TakenLook]) -> None:
        for look in looks:
            self.context.observer.looked(look)

    # --- recording --------------------------------------------------------------------------------------------------

    async def _record_all(self, recorder: Recorder) -> None:
        """Record until Phoenix has everything, or until it was unavailable after the last answer was scored."""
        try:
            while recorder.waits and not self._scores.has_ended:
                await self._scores.more()
            while not await self._patiently(self._open, recorder):  # noqa: ASYNC110
                await asyncio.sleep(_REOPEN_S)
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._follow(self._untraced, self._trace, self._answers, batch=SPANS))
                if self.judging is not None:
                    stages.create_task(self._follow(self._untraced_calls, self._trace_calls, self._scores, batch=SPANS))
                stages.create_task(self._record_ready())
            await self._verify(recorder)
        except* PhoenixError as group:
            self.unrecorded = str(_first(group))

    async def _open(self, recorder: Recorder) -> None:
        if recorder.recording is None:
            await recorder.open(self.context.on_progress)
            # Another Phoenix, or another dataset in it, lacks what an earlier process had recorded.
            await self._take_unrecorded()

    async def _take_unrecorded(self) -> None:
        unrecorded = await self.journal.unrecorded()
        self._ready = sorted({*self._ready, *unrecorded})

    async def _record_ready(self) -> None:
        """Record answers in the order in which their scores are complete."""
        while True:
            finished = self._scores.has_ended
            numbers = self._ready[:BATCH]
            if numbers:
                if await self._patiently(self._record, await self.journal.by_number(numbers)):
                    del self._ready[: len(numbers)]
            elif finished:
                return
            else:
                await self._scores.more()

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

    async def _untraced_calls(self, after: int, limit: int) -> list[JudgeCall]:
        """Calls of judges whose span is not sent."""
        if after:
            await self.journal.set_traced(after, "traced_calls")
        return await self.journal.calls(after or await self.journal.traced("traced_calls"), limit)

    async def _trace_calls(self, calls: list[JudgeCall]) -> None:
        assert self.recorder is not None, "only then"
        await self.recorder.trace_calls(calls)
        await asyncio.sleep(_TRACE_EVERY_S)

    async def _verify(self, recorder: Recorder) -> None:
        """Ask Phoenix whether it has all, and record again what it lacks."""
        answers = await self.journal.answers()
        await recorder.trace_again(answers, await self.journal.calls())
        scored = [answer for answer in answers if answer.scored]
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
        self,
        fetch: Fetch[_Numbered],
        work: Callable[[list[_Numbered]], Awaitable[None]],
        before: Stage,
        *,
        batch: int = BATCH,
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


def _first(error: BaseException) -> BaseException:
    """The first error in nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
