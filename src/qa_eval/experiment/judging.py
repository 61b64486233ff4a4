"""Judges at work: each judgement is a paid call, durable before it counts, and never asked for twice.

A judgement is found again by what was asked (`JudgeRequest.key`): after a kill, for a second system that gave the
same answer to the same question, and in a later `evaluate`. Judges have a limiter each, so that judging does not wait
for answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from qa_eval.data.examples import SquadVersion
from qa_eval.experiment.answers import Answer, JudgeCall
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.budget import Budget
from qa_eval.experiment.calls import Caller, Unreachable
from qa_eval.experiment.plan import CallKey
from qa_eval.metrics.base import NotScored, Score
from qa_eval.metrics.judgement import JudgeError, PaidRequest, ReplyForm, reply_text
from qa_eval.metrics.judges import Judge, PreferenceJudge
from qa_eval.metrics.llm_calls import LlmCall, LlmCaller, LlmRequest
from qa_eval.metrics.planted import Planted
from qa_eval.metrics.registry import applies, unanswered
from qa_eval.targets.base import Attempt
from qa_eval.targets.limiter import ConcurrencyLimiter, Slot
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.tracing.context import TraceContext, child_of

AnyJudge = Judge | PreferenceJudge


class Completes(Protocol):
    """What asks for a chat completion; the gateway's client."""

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        trace: TraceContext | None = None,
        read: Callable[[Mapping[str, Any]], str] = ...,
    ) -> Attempt: ...


@dataclass
class _Model:
    """One judge's model: its pace, and the form of reply that it takes."""

    caller: Caller
    form: ReplyForm | None = None


class Judging:
    """The judges of one run."""

    def __init__(
        self,
        judges: Sequence[AnyJudge],
        client: Completes,
        journal: AsyncJournal,
        budget: Budget,
        *,
        concurrency: int | None,
        version: SquadVersion,
        baseline: str,
    ) -> None:
        """
        Args:
            judges: The metrics that are judges.
            client: The gateway's client.
            journal: Where judgements are kept.
            budget: Counts their cost and their failures.
            concurrency: Maximum number of concurrent calls for each model; None adapts.
            version: Which official script scores the dataset.
            baseline: The system that a preference compares the others with.
        """
        self.judges = judges
        self._client = client
        self._journal = journal
        self._budget = budget
        self._version = version
        self._baseline = baseline
        self._concurrency = concurrency
        self._models: dict[str, _Model] = {}
        self._under_way: dict[str, asyncio.Task[JudgeCall]] = {}
        self._awaited: dict[CallKey, asyncio.Event] = {}
        self._all_answered = False

    def answered(self, key: CallKey) -> None:
        """There is one more answer in the journal."""
        if (event := self._awaited.pop(key, None)) is not None:
            event.set()

    def end_of_answers(self) -> None:
        """There will be no more answers."""
        self._all_answered = True
        for event in self._awaited.values():
            event.set()

    async def judge(self, answer: Answer) -> Answer:
        """An answer with the scores of all judges.

        Raises:
            NotScored: The run stops before.
            QaEvalError: The journal cannot be written.
        """
        missing = [judge for judge in self.judges if answer.find_score(judge.name) is None]
        found = await asyncio.gather(*(self._score(judge, answer) for judge in missing), return_exceptions=True)
        scores = [score for score in found if isinstance(score, Score)]
        error = next((error for error in found if isinstance(error, BaseException)), None)
        if error is not None:
            raise error
        return replace(answer, scores=(*answer.scores, *scores), scored=True)

    async def plant(self, metric: str, planted: Sequence[Planted]) -> None:
        """Ask a judge, by its metric, about planted answers; what is kept of them is their calls.

        Raises:
            QaEvalError: The journal cannot be written.
        """

        async def one(each: Planted) -> None:
            try:
                await self.call(metric, each.request)
            except NotScored:
                return

        await asyncio.gather(*map(one, planted))

    def llm_caller(self, answer: Answer, metric: str) -> LlmCaller:
        """The caller of a metric's own judge, for one answer."""

        async def caller(call: LlmCall) -> str:
            found = await self.call(metric, LlmRequest(call), answer)
            if found.failure is not None:
                raise JudgeError(found.failure)
            return found.reply.text

        return caller

    async def call(self, metric: str, request: PaidRequest, answer: Answer | None = None) -> JudgeCall:
        """The judge's reply to a request, from the journal where it was asked before.

        Args:
            metric: Whose call it is.
            request: What is asked.
            answer: What is judged; its trace is the call's. None for a planted answer.

        Raises:
            NotScored: The run stops before.
            QaEvalError: The journal cannot be written.
        """
        if request.key not in self._under_way:
            task = asyncio.create_task(self._call(metric, request, answer))
            self._under_way[request.key] = task
            task.add_done_callback(lambda _: self._under_way.pop(request.key, None))
        return await asyncio.shield(self._under_way[request.key])

    # --- scores -----------------------------------------------------------------------------------------------------

    async def _score(self, judge: AnyJudge, answer: Answer) -> Score | None:
        if isinstance(judge, PreferenceJudge):
            return await self._prefer(judge, answer)
        if not applies(judge.definition, answer.example, self._version):
            return None
        reply = answer.reply
        if not reply.outcome.is_answer:
            return unanswered(judge.definition, str(reply.outcome), reply.message)
        call = await self.call(judge.name, judge.request(answer.example, reply.text), answer)
        return _failed(judge, call) or judge.score(call.reply.text)

    async def _prefer(self, judge: PreferenceJudge, answer: Answer) -> Score:
        if answer.system == self._baseline:
            return judge.of_baseline()
        baseline = await self._find((self._baseline, answer.example.id, answer.repetition))
        texts = [each.reply.text for each in (baseline, answer)]
        decided = judge.without_calls(baseline.reply.outcome.is_answer, answer.reply.outcome.is_answer)
        if decided is not None:
            return decided
        calls = [self.call(judge.name, request, answer) for request in judge.requests(answer.example, *texts)]
        first, second = await asyncio.gather(*calls)
        return _failed(judge, first) or _failed(judge, second) or judge.score(first.reply.text, second.reply.text)

    async def _find(self, key: CallKey) -> Answer:
        """The answer to a question, once it is there."""
        event = self._awaited.setdefault(key, asyncio.Event())
        found = await self._journal.find(key)
        if found is None and not self._all_answered:
            await event.wait()
            found = await self._journal.find(key)
        self._awaited.pop(key, None)
        if found is None:
            raise NotScored
        return found

    # --- calls ------------------------------------------------------------------------------------------------------

    async def _call(self, metric: str, request: PaidRequest, answer: Answer | None) -> JudgeCall:
        known = await self._journal.find_call(request.key)
        if known is not None:
            return known
        model = self._model(request.model)
        slot = await model.caller.limiter.acquire()
        try:
            if not self._budget.reserve_judgement():
                raise NotScored
            trace = child_of(answer.trace) if answer is not None and answer.trace else None
            reply = await self._ask(model, request, trace, slot)
            call = JudgeCall(request.key, metric, request.model, reply, _failure(reply, request), *_place(answer))
            # The slot is held until it is durable: so many calls, and no more, can be lost by a kill.
            await self._journal.append_call(call)
        except Unreachable as unreachable:
            self._budget.reason = self._budget.reason or str(unreachable)
            raise NotScored from None
        finally:
            slot.release()
        self._budget.count_judgement(reply, failed=call.failure)
        return call

    def _model(self, name: str) -> _Model:
        if name not in self._models:
            self._models[name] = _Model(Caller(ConcurrencyLimiter(self._concurrency), self._is_stopped))
        return self._models[name]

    async def _ask(self, model: _Model, request: PaidRequest, trace: TraceContext | None, slot: Slot) -> Reply:
        """Ask in the first form of reply that the model takes; a refused form costs nothing, and is not tried again."""
        first = request.forms.index(model.form) if model.form in request.forms else 0
        for form in request.forms[first:]:
            reply = await self._ask_in(form, model, request, trace, slot)
            if reply.outcome is not Outcome.REFUSED:
                break
        if reply.outcome.is_answer and len(request.forms) > 1:
            model.form = form
        return reply

    async def _ask_in(
        self, form: ReplyForm, model: _Model, request: PaidRequest, trace: TraceContext | None, slot: Slot
    ) -> Reply:
        async def once() -> Attempt:
            messages, extras = request.messages(form), request.extras(form)
            return await self._client.complete(request.model, messages, extras, trace, reply_text)

        reply = await model.caller.call(once, slot)
        return reply if trace is None else replace(reply, trace_id=trace.trace_id, span_id=trace.span_id)

    def _is_stopped(self) -> bool:
        return self._budget.reason is not None


def _place(answer: Answer | None) -> tuple[str | None, str | None]:
    """The system and the question's span of what is judged."""
    return (None, None) if answer is None else (answer.system, answer.reply.span_id)


def _failed(judge: AnyJudge, call: JudgeCall) -> Score | None:
    """The score that says why there is none."""
    return None if call.failure is None else Score(None, error=call.failure, name=judge.name)


def _failure(reply: Reply, request: PaidRequest) -> str | None:
    """Why a reply is no judgement; None where it is one."""
    if reply.outcome is Outcome.INVALID_RESPONSE and ":" in reply.message:
        return reply.message
    if not reply.outcome.is_answer:
        return f"{reply.outcome}: {reply.message}"
    try:
        request.check(reply.text)
    except JudgeError as problem:
        return str(problem)
    return None
