"""What was seen when a run looked at a comparison, and what follows for who is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from qa_eval.experiment.metadata import RunMetadata, StopDesign


class Settled(StrEnum):
    """What a look settles of a candidate."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no_difference"
    """Whatever difference there is, it is smaller than the margin."""

    @property
    def words(self) -> str:
        """For people."""
        return "no difference that matters" if self is Settled.NO_DIFFERENCE else str(self)


@dataclass(frozen=True, slots=True)
class TakenLook:
    """One look at one candidate."""

    candidate: str
    number: int
    """Counted from 1."""
    examples: int
    """How many both systems have a score of."""
    estimate: float
    """Candidate minus baseline in the primary metric."""
    low: float | None
    high: float | None
    """The repeated confidence interval; None where it cannot be given yet."""
    decision: Settled | None
    """None: the comparison goes on."""
    taken_at: str
    """When, as ISO 8601."""

    @property
    def decision_words(self) -> str:
        """What it settles, for people."""
        return "goes on" if self.decision is None else self.decision.words

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True)
class Decisions:
    """Which candidates are settled, by the looks so far."""

    metadata: RunMetadata
    looks: tuple[TakenLook, ...]

    @cached_property
    def settled(self) -> dict[str, TakenLook]:
        """The look that settled each candidate."""
        return {look.candidate: look for look in self.looks if look.decision is not None}

    def last_stage(self, system: str) -> int:
        """The last stage that a system is asked: a settled candidate's last look, the baseline's latest."""
        design = self.metadata.stop
        if design is None:
            return 1
        if system != self.metadata.baseline:
            return self.settled[system].number if system in self.settled else len(design.looks)
        return max(self.last_stage(candidate) for candidate in self.metadata.candidates)

    def ended(self, candidate: str) -> TakenLook | None:
        """The look that ended a candidate's comparison; None while it goes on."""
        design = self.metadata.stop
        assert design is not None, "there are looks"
        own = [look for look in self.looks if look.candidate == candidate]
        return next((look for look in own if look.decision is not None or look.number == len(design.looks)), None)

    def taken(self, candidate: str) -> int:
        """How many looks were taken at a candidate."""
        return sum(look.candidate == candidate for look in self.looks)

    def with_look(self, look: TakenLook) -> Decisions:
        """The decisions after another look."""
        return Decisions(self.metadata, (*self.looks, look))


@dataclass(frozen=True)
class EndedComparison:
    """A candidate's comparison by the run's design: settled, or looked at to the end."""

    run_id: str
    baseline: str
    design: StopDesign
    look: TakenLook
    """The last one."""
    examples: tuple[str, ...]
    """The ids of what it has seen, in the order of the looks."""
