"""The pace of a run: the concurrency it settled on, and when its answers queued at the target because of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Reason(StrEnum):
    """Why answers queued, or were refused."""

    PROBING = "probing"
    """More requests were sent than the target serves at once, to find out how many it serves."""
    THROTTLED = "throttled"
    """The target answered 429."""
    OVERLOADED = "overloaded"
    """The target's capacity fell, and the limit had not followed yet."""


@dataclass(frozen=True, slots=True)
class Spell:
    """An interval in which a queue stood at the target; POSIX seconds."""

    start: float
    end: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Pace:
    """What the limiter knows of a run."""

    concurrency: int | None = None
    """The limit it settled on last; None before it has settled."""
    per_second: float | None = None
    """Answers a second at that limit."""
    spells: tuple[Spell, ...] = ()
    """In order, without overlaps."""

    @property
    def words(self) -> str:
        """Such as "8 at once, 15.9 answers a second"; empty before it has settled."""
        if self.concurrency is None or self.per_second is None:
            return ""
        return f"{self.concurrency} at once, {self.per_second:.3g} answers a second"

    def then(self, later: Pace) -> Pace:
        """The pace of a run that another process continued."""
        settled = self if later.concurrency is None else later
        return Pace(settled.concurrency, settled.per_second, merge([*self.spells, *later.spells]))


def is_queued(pace: Pace, started_at: datetime, latency_s: float) -> bool:
    """Whether an answer's flight overlaps a spell, so that its latency is not the target's own."""
    start = started_at.timestamp()
    # Spells do not overlap, so only the last one that starts before the answer's end can reach into its flight.
    before = bisect_right(pace.spells, start + latency_s, key=lambda spell: spell.start)
    return before > 0 and pace.spells[before - 1].end > start


def merge(spells: Iterable[Spell]) -> tuple[Spell, ...]:
    """Order spells and join those that overlap, or follow each other for the same reason."""
    merged: list[Spell] = []
    for spell in sorted(spells, key=lambda spell: spell.start):
        last = merged[-1] if merged else None
        apart = last is None or spell.start > last.end or (spell.start == last.end and spell.reason is not last.reason)
        if last is None or apart:
            merged.append(spell)
        elif spell.end > last.end:
            merged[-1] = Spell(last.start, spell.end, last.reason)
    return tuple(merged)
