"""Looks at comparisons while a run is in progress, and who is therefore asked no more.

A look is taken as soon as all answers of its groups are scored, on these groups alone, so that it comes out the same
however a run was interrupted. Questions of the next stage are asked meanwhile, none of the one after.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.looks import Decisions, Settled, TakenLook
from qa_eval.experiment.metadata import StopDesign
from qa_eval.experiment.plan import Call, Plan
from qa_eval.statistics import Decision, Look

_POLL_S = 0.2
"""How often a question that waits for a look asks whether the run has stopped."""


class Stopping:
    """Takes the looks of a run."""

    def __init__(self, plan: Plan, design: StopDesign, journal: AsyncJournal) -> None:
        """
        Args:
            plan: The run's.
            design: Its looks.
            journal: What is scored so far, and the looks that were taken.
        """
        self._plan, self._design, self._journal = plan, design, journal
        self.decisions = Decisions(plan.metadata, ())
        self._missing: Counter[tuple[str, int]] = Counter()
        """Answers that are not scored yet, by system and stage."""
        self._news = asyncio.Event()
        self._looking = asyncio.Lock()

    async def start(self) -> list[TakenLook]:
        """Take up what an earlier process left; returns the looks that were due."""
        metadata, repeat = self._plan.metadata, self._plan.spec.repeat
        self.decisions = Decisions(metadata, tuple(await self._journal.looks()))
        for stage, examples in enumerate(self._plan.stages, 1):
            for system in metadata.system_names:
                self._missing[system, stage] = len(examples) * repeat
        for system, example, count in await self._journal.count_by_example():
            self._missing[system, self._plan.stage_of[example]] -= count
        return await self._take_due()

    def asks(self, call: Call) -> bool:
        """Whether a question is asked: nothing is settled of its system before its stage."""
        return call.stage <= self.decisions.last_stage(call.system)

    def must_wait(self, call: Call) -> bool:
        """Whether a look has to be taken before a question may be asked: at most one stage is asked ahead."""
        return any(
            candidate not in self.decisions.settled and self.decisions.taken(candidate) < call.stage - 2
            for candidate in self._plan.metadata.candidates
        )

    async def news(self) -> None:
        """Wait a moment, or until a look is taken."""
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), _POLL_S)
        except TimeoutError:
            return

    async def scored(self, answers: Sequence[Answer]) -> list[TakenLook]:
        """Count answers that have all their scores; returns the looks that were due."""
        for answer in answers:
            self._missing[answer.system, self._plan.stage_of[answer.example.id]] -= 1
        return await self._take_due()

    async def _take_due(self) -> list[TakenLook]:
        taken: list[TakenLook] = []
        async with self._looking:
            for candidate in self._plan.metadata.candidates:
                while (number := self._due(candidate)) is not None:
                    taken.append(await self._take(candidate, number))
        return taken

    def _due(self, candidate: str) -> int | None:
        """The number of the next look at a candidate, if all of its answers are scored."""
        number = self.decisions.taken(candidate) + 1
        if candidate in self.decisions.settled or number > len(self._design.looks):
            return None
        pair = (self._plan.metadata.baseline, candidate)
        stages = range(1, number + 1)
        return number if all(self._missing[system, stage] <= 0 for system in pair for stage in stages) else None

    async def _take(self, candidate: str, number: int) -> TakenLook:
        baseline = self._plan.metadata.baseline
        means = await self._journal.means(self._design.metric, (baseline, candidate))
        examples = [
            example
            for stage in self._plan.stages[:number]
            for example in stage
            if all(example.id in found for found in means.values())
        ]
        before, after = ([means[name][example.id] for example in examples] for name in (baseline, candidate))
        groups = [example.group for example in examples]
        look = Look(0.0, None, None, crossed=False)
        if examples:
            look = await asyncio.to_thread(self._design.sequential.look, number, before, after, groups)
        taken = TakenLook(
            candidate=candidate,
            number=number,
            examples=len(examples),
            estimate=look.estimate,
            low=look.low,
            high=look.high,
            decision=self._settled(look),
            taken_at=datetime.now(UTC).isoformat(),
        )
        await self._journal.add_look(taken)
        self.decisions = self.decisions.with_look(taken)
        self._news.set()
        return taken

    def _settled(self, look: Look) -> Settled | None:
        decision = look.decide(self._design.margin)
        if decision is None:
            return None
        if decision is Decision.EQUIVALENT:
            return Settled.NO_DIFFERENCE
        if look.low is not None and any(look.low <= limit <= (look.high or 0.0) for limit in self._design.gate):
            return None
        higher_is_better = self._plan.metadata.definitions[self._design.metric].higher_is_better
        return Settled.BETTER if (decision is Decision.HIGHER) == higher_is_better else Settled.WORSE
