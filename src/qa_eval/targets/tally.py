"""The answers to requests that were sent since a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qa_eval.targets.in_order import Flight

LEVEL = 0.8
"""A request counts for the level at its start if that is at least this share of the mean level."""


@dataclass(slots=True)
class Tally:
    """Their number, latency and level."""

    since: float
    answered: int = 0
    count: int = 0
    """Those whose level is clear."""
    _latencies: float = 0.0
    _levels: float = 0.0

    def add(self, flight: Flight) -> None:
        """Count an answer, if its request was sent since then."""
        if flight.start < self.since:
            return
        self.answered += 1
        if is_level(flight):
            self.count += 1
            self._latencies += flight.latency_s
            self._levels += flight.level

    @property
    def log_latency(self) -> float:
        """Logarithm of the mean latency."""
        return math.log(self._latencies / self.count)

    @property
    def level(self) -> float:
        """Mean number of requests in flight at the start."""
        return self._levels / self.count


def is_level(flight: Flight) -> bool:
    """Whether the number in flight at the start is the one that made the latency.

    In a first-come queue it is, with shared processors the mean number is. They differ for the first requests after
    the limit rose.
    """
    return flight.level >= LEVEL * min(flight.limit, flight.mean_level)
