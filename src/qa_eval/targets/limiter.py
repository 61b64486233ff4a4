"""The number of concurrent requests, fixed or adapted to what the target can take, and when each may be sent.

A question holds a slot over all its tries. Each try waits its turn: until `Retry-After` is over, and under the rate of
requests that the target accepts, if its 429s have shown one. No part of it blocks the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from qa_eval.targets.capacity_search import CapacitySearch
from qa_eval.targets.in_order import Flight
from qa_eval.targets.pace import Pace, Reason, Spell, merge
from qa_eval.targets.request_rate import RequestRate


@dataclass(frozen=True, slots=True)
class _Try:
    """A request that was sent and is not answered yet."""

    number: int
    start: float
    area: float
    """Of the number of active requests over time, up to its start."""
    level: int
    """How many were active then, with it."""
    limit: int


class Slot:
    """The place of one question among those in flight."""

    def __init__(self, limiter: ConcurrencyLimiter) -> None:
        self._limiter = limiter
        self._try: _Try | None = None
        """The one that was sent last, until it ends."""
        self._tries = 0
        self._released = False

    async def turn(self) -> None:
        """Wait until the next try may be sent."""
        self.failed()
        self._try = await self._limiter._turn()
        self._tries += 1

    def failed(self) -> None:
        """The try did not reach the target, or its failure shows nothing of the target's speed."""
        ended, self._try = self._try, None
        if ended is not None:
            self._limiter._ended(ended, measured=False)

    def throttled(self, retry_after_s: float | None) -> None:
        """The target answered the try with 429."""
        ended, self._try = self._try, None
        if ended is not None:
            self._limiter._refused(ended, retry_after_s)

    def release(self, _: object = None) -> None:
        """Free the slot; once is enough. A question's only try lasts until then. Tasks call back with themselves."""
        if not self._released:
            self._released = True
            ended, self._try = self._try, None
            if ended is not None:
                self._limiter._ended(ended, measured=self._tries == 1)
            self._limiter._release()


class ConcurrencyLimiter:
    """Limits the number of concurrent requests: fixed, or adapted to the target."""

    def __init__(
        self,
        concurrency: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            concurrency: How many questions may be in flight; None adapts.
            clock: The time in seconds, as the event loop sleeps.
            wall_clock: POSIX seconds.
        """
        self._clock = clock
        self._to_wall = wall_clock() - clock()
        self._fixed = concurrency
        self._search = CapacitySearch(clock())
        self._rate = RequestRate()
        self._turnstile = asyncio.Lock()
        self._free = asyncio.Event()
        self._in_flight = 0
        self._active = 0
        self._area, self._area_at = 0.0, clock()
        self._throttled: list[Spell] = []

    @property
    def limit(self) -> int:
        """How many questions may be in flight now."""
        return self._search.limit if self._fixed is None else self._fixed

    @property
    def in_flight(self) -> int:
        """How many questions are."""
        return self._in_flight

    async def acquire(self) -> Slot:
        """Wait for a slot."""
        while self._in_flight >= self.limit:
            self._free.clear()
            await self._free.wait()
        self._in_flight += 1
        return Slot(self)

    def pace(self) -> Pace:
        """What is known by now."""
        settled = self._search.settled if self._fixed is None else None
        queued = self._search.queued(self._clock()) if self._fixed is None else []
        spells = merge([*self._throttled, *(self._spell(*each) for each in queued)])
        return Pace(settled[0] if settled else self._fixed, settled[1] if settled else None, spells)

    # --- used by slots ----------------------------------------------------------------------------------------------

    async def _turn(self) -> _Try:
        async with self._turnstile:
            while (wait := self._rate.wait_s(self._clock())) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            now = self._clock()
            self._rate.sent(now, self._search.gap_s if self._fixed is None else 0.0)
        self._count(+1)
        return _Try(self._search.sent(now, self._active), now, self._area, self._active, self.limit)

    def _refused(self, ended: _Try, retry_after_s: float | None) -> None:
        self._ended(ended, measured=False)
        now = self._clock()
        if self._rate.refused(ended.start, now, retry_after_s):
            self._throttled.append(self._spell(now, max(now, self._rate.not_before), Reason.THROTTLED))

    def _ended(self, ended: _Try, *, measured: bool) -> None:
        self._count(-1)
        if not measured or self._fixed is not None:
            self._search.lost(ended.number)
            return
        mean = (self._area - ended.area) / max(1e-9, self._area_at - ended.start)
        self._search.answered(ended.number, Flight(ended.start, self._area_at, ended.level, mean, ended.limit))

    def _release(self) -> None:
        self._in_flight -= 1
        if self._fixed is None:
            self._search.in_flight(self._in_flight, self._clock())
        self._free.set()

    def _spell(self, start: float, end: float, reason: Reason) -> Spell:
        return Spell(start + self._to_wall, end + self._to_wall, reason)

    def _count(self, change: int) -> None:
        """Requests became active or ended; their number over time is summed, for its mean over a request."""
        now = self._clock()
        self._area += self._active * (now - self._area_at)
        self._area_at = now
        self._active += change
