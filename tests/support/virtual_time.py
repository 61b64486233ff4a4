"""Simulated time for asyncio, and fake gateways: an hour of waiting takes as long as its events take to compute."""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _NoWaiting(selectors.DefaultSelector):
    """Advances the loop's time in place of waiting."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits for something that never comes")
        self.loop.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next event."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _NoWaiting()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Simulated seconds."""
        return self.now


def run(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine function in simulated time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


def now() -> float:
    """The running loop's time."""
    return asyncio.get_running_loop().time()


class SlotGateway:
    """Answers so many requests at once, in a lognormal time; what is beyond waits, first come, first served."""

    def __init__(self, slots: int, mean_s: float, sigma: float = 0.0, seed: int = 0) -> None:
        """
        Args:
            slots: How many requests are answered at once.
            mean_s: The mean time of one.
            sigma: Standard deviation of its logarithm; 0 makes all equal.
            seed: Of the times.
        """
        self.slots = slots
        self.mean_s = mean_s
        self.sigma = sigma
        self._random = random.Random(seed)
        self._busy = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def answer(self) -> None:
        """Take one request."""
        seconds = self.mean_s
        if self.sigma:
            seconds *= math.exp(self._random.gauss(-(self.sigma**2) / 2, self.sigma))
        if self._busy < self.slots:
            self._busy += 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            await turn
        await asyncio.sleep(seconds)
        self._busy -= 1
        self._serve()

    def resize(self, slots: int) -> None:
        """Answer another number of requests at once from now on."""
        self.slots = slots
        self._serve()

    def _serve(self) -> None:
        while self._queue and self._busy < self.slots:
            turn = self._queue.popleft()
            if not turn.done():
                self._busy += 1
                turn.set_result(None)


class SharedProcessor:
    """A server whose requests share processors, so that each takes longer the more there are; equal requests."""

    def __init__(self, seconds: float, gain: float, sigma: float = 0.0, seed: int = 0) -> None:
        """
        Args:
            seconds: The mean time of one request alone.
            gain: How many times the throughput of one request all together have at most.
            sigma: Standard deviation of the time's logarithm.
            seed: Of the times.
        """
        self._seconds = seconds
        self._gain = gain
        self._sigma = sigma
        self._random = random.Random(seed)
        self._left: dict[asyncio.Future[None], float] = {}
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self) -> None:
        """Take one request."""
        self._progress()
        done = asyncio.get_running_loop().create_future()
        self._left[done] = self._seconds * math.exp(self._random.gauss(-(self._sigma**2) / 2, self._sigma))
        self._plan()
        await done

    def _speed(self) -> float:
        return min(1.0, self._gain / max(1, len(self._left)))

    def _progress(self) -> None:
        passed = (now() - self._at) * self._speed()
        self._at = now()
        for each in self._left:
            self._left[each] -= passed

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._left:
            soonest = max(0.0, min(self._left.values())) / self._speed()
            self._timer = asyncio.get_running_loop().call_later(soonest, self._finish)

    def _finish(self) -> None:
        self._progress()
        for done in [each for each, left in self._left.items() if left <= 1e-9]:
            del self._left[done]
            if not done.done():
                done.set_result(None)
        self._plan()


class TokenBucket:
    """Accepts so many requests a second, and as many at once; says when the next one is accepted."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def refuse(self) -> int | None:
        """Whether a request is refused: the seconds of `Retry-After`; None where it is accepted."""
        passed = 0.0 if self._at is None else now() - self._at
        self._at = now()
        self._tokens = min(self._burst, self._tokens + passed * self._per_second)
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return None
        return max(1, math.ceil((1 - self._tokens) / self._per_second))


async def through_bucket(
    limiter: Any, bucket: TokenBucket, gateway: SlotGateway, questions: int
) -> tuple[float, float]:
    """The share of refused requests, and the seconds that all questions took."""
    sent = refused = 0

    async def ask(slot: Any) -> None:
        nonlocal sent, refused
        while True:
            await slot.turn()
            sent += 1
            if (retry_after := bucket.refuse()) is None:
                break
            refused += 1
            await asyncio.sleep(0.01)
            slot.throttled(retry_after)
            await asyncio.sleep(retry_after)
        await gateway.answer()
        slot.release()

    start = now()
    async with asyncio.TaskGroup() as group:
        for _ in range(questions):
            group.create_task(ask(await limiter.acquire()))
    return refused / sent, now() - start
