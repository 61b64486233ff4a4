"""The number of concurrent requests: fixed, or adapted to what the target can take.

The adaptive limit doubles while latency holds, then grows by steps; it steps back when latency rises, though not
below where it began, and halves on a 429 or a timeout. No request is sent before the time that `Retry-After` gives.
No part of it blocks the event loop.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median

FIRST = 4
MOST = 256
_HOLDS, _RISES = 1.3, 1.7
"""Median latency, in multiples of the lowest seen: below the first it holds, above the second it has risen."""
_LEAST_SAMPLES = 8


class ConcurrencyLimiter:
    """Limits the number of concurrent requests: fixed, or adapted to the target."""

    def __init__(self, concurrency: int | None) -> None:
        """
        Args:
            concurrency: How many questions may be in flight; None adapts.
        """
        self._adapts = concurrency is None
        self._limit = float(FIRST if concurrency is None else concurrency)
        self._in_flight = 0
        self._free = asyncio.Event()
        self._not_before = 0.0
        self._doubles = True
        self._latencies: list[float] = []
        self._unsettled = self.limit
        """Answers to come that were asked before the limit changed: they do not show what it causes."""
        self._lowest: float | None = None
        self._halved_at = 0.0

    @property
    def limit(self) -> int:
        """How many questions may be in flight now."""
        return max(1, int(self._limit))

    @property
    def in_flight(self) -> int:
        """How many questions are."""
        return self._in_flight

    async def acquire(self) -> None:
        """Wait for a slot, and until the gateway wants to be asked."""
        while self._in_flight >= self.limit:
            self._free.clear()
            await self._free.wait()
        while (wait := self._not_before - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait)
        self._in_flight += 1

    def release(self) -> None:
        """Give a slot back."""
        self._in_flight -= 1
        self._free.set()

    def answered(self, latency_s: float) -> None:
        """An answer came without trouble."""
        if not self._adapts:
            return
        if self._unsettled > 0:
            self._unsettled -= 1
            return
        self._latencies.append(latency_s)
        if len(self._latencies) >= max(_LEAST_SAMPLES, self.limit):
            self._adapt(median(self._latencies))
            self._latencies.clear()

    def throttled(self, retry_after_s: float | None) -> None:
        """The gateway answered 429, or not in time."""
        now = time.monotonic()
        if retry_after_s is not None:
            self._not_before = max(self._not_before, now + retry_after_s)
        # Questions that were in flight together meet the same limit: they halve the limit once.
        if self._adapts and now - self._halved_at > max(1.0, self._lowest or 0.0):
            self._halved_at = now
            self._shrink(0.5, least=1)

    def _adapt(self, latency_s: float) -> None:
        # At the initial limit there is no queue of ours: this is the latency without one.
        self._lowest = latency_s if self._lowest is None or self._limit <= FIRST else min(latency_s, self._lowest)
        rise = latency_s / self._lowest
        if rise > _RISES:
            self._shrink(0.75, least=FIRST)
        elif rise < _HOLDS:
            step = self._limit if self._doubles else max(1.0, self._limit**0.5)
            self._limit = min(float(MOST), self._limit + step)
            self._unsettled = self.limit
            self._free.set()

    def _shrink(self, factor: float, *, least: int) -> None:
        self._doubles = False
        self._limit = max(float(min(least, self.limit)), self._limit * factor)
        self._latencies.clear()
        self._unsettled = self.limit
