"""Who is informed of a run's progress: lines about what takes time, and each answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.looks import TakenLook
from qa_eval.experiment.plan import Plan
from qa_eval.targets.outcome import Reply

OnProgress = Callable[[str], None]
"""Called with one line about something that takes time."""


class Observer(Protocol):
    """Follows a run; called on the event loop, so it must be quick."""

    def started(self, plan: Plan, journal: Path, answered: int) -> None:
        """The run starts or is resumed; so many answers are in its journal already."""

    def answered(self, system: str, reply: Reply) -> None:
        """One answer is durable."""

    def scored(self, answers: Sequence[Answer]) -> None:
        """Some answers have their scores."""

    def looked(self, look: TakenLook) -> None:
        """A comparison was looked at."""

    def recorded(self, count: int) -> None:
        """Phoenix has `count` more answers with all their scores."""


class NullObserver:
    """An observer that does nothing."""

    def started(self, plan: Plan, journal: Path, answered: int) -> None: ...

    def answered(self, system: str, reply: Reply) -> None: ...

    def scored(self, answers: Sequence[Answer]) -> None: ...

    def looked(self, look: TakenLook) -> None: ...

    def recorded(self, count: int) -> None: ...


def ignore(line: str) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class RunContext:
    """Who is informed of a run."""

    observer: Observer = field(default_factory=NullObserver)
    on_progress: OnProgress = ignore
