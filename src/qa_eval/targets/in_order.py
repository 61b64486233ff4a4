"""Answers in the order in which their requests were sent.

In the order of arrival the short answers come first: whoever judges a level by its first answers takes it for fast.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flight:
    """One answered request."""

    start: float
    end: float
    level: int
    """How many requests were in flight at its start, itself included."""
    mean_level: float
    """How many were on average during it."""
    limit: int
    """How many were allowed at its start."""

    @property
    def latency_s(self) -> float:
        """From the start to the end."""
        return max(1e-6, self.end - self.start)


class InOrder:
    """Holds answers back until those whose requests were sent earlier are there, or have taken far too long."""

    def __init__(self) -> None:
        self._flights: OrderedDict[int, Flight | None] = OrderedDict()
        self._starts: dict[int, tuple[float, int, int]] = {}
        self._sent = 0

    def __len__(self) -> int:
        """How many are held back or not answered."""
        return len(self._flights)

    def sent(self, now: float, level: int, limit: int) -> int:
        """A request is sent; returns its number."""
        self._sent += 1
        self._flights[self._sent] = None
        self._starts[self._sent] = now, level, limit
        return self._sent

    def lost(self, number: int) -> None:
        """A request has no answer to count."""
        self._flights.pop(number, None)
        self._starts.pop(number, None)

    def answered(self, number: int, flight: Flight) -> None:
        """A request has its answer."""
        if number in self._flights:
            self._flights[number] = flight

    def ready(self, now: float, patience_s: float) -> Iterator[Flight]:
        """The answers whose turn it is; a request older than `patience_s` counts as answered now."""
        while self._flights:
            number, flight = next(iter(self._flights.items()))
            start, level, limit = self._starts[number]
            if flight is None:
                if now - start <= patience_s:
                    return
                flight = Flight(start, now, level, float(level), limit)
            self.lost(number)
            yield flight
