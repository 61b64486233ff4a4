"""Who is told what: lines about what takes time, and how a run goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from qa_eval.experiment.plan import Plan
from qa_eval.targets.outcome import Reply

Report = Callable[[str], None]
"""Called with one line about something that takes time."""


class Observer(Protocol):
    """Who is told how a run goes; called on the event loop, so quickly."""

    def started(self, plan: Plan, journal: Path, answered: int) -> None:
        """The run begins or goes on; so many answers are in its journal already."""

    def answered(self, model: str, reply: Reply, exact_match: float, f1: float) -> None:
        """One answer is durable."""

    def recorded(self, count: int) -> None:
        """Phoenix has `count` more answers with all their scores."""


class Silent:
    """An observer that says nothing."""

    def started(self, plan: Plan, journal: Path, answered: int) -> None: ...

    def answered(self, model: str, reply: Reply, exact_match: float, f1: float) -> None: ...

    def recorded(self, count: int) -> None: ...
