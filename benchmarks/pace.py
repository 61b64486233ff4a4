"""The pace: how fast and how undistorted the limiter of concurrent requests lets a run go, beside its rivals.

    python benchmarks/pace.py [--seeds 8] [--real] [--rivals PATH]    exit code 1 where a bound is missed

A fake gateway answers S requests at once, each in D seconds on average, and the rest wait, first come, first served:
all equal, or lognormal with a standard deviation of 0.6 of the logarithm, in which case the line is a median of seeds
and the worst one stands in brackets. "Wall" is the time of the whole run in multiples of questions * D / S + D, "of
fixed" in multiples of `--concurrency S` with the same answers. "p50" is the median latency in multiples of that of an
unloaded gateway: of all answers, and of those that no queue spell excludes, as the table of a run shows it.

By default time is simulated; `--real` measures one seed in real time, for some minutes. The rivals are the limiter of
qa-eval before this one, and `saturate` 0.2.0, whose limiter is driven without an engine's gauges, as an endpoint
without them would be; `--rivals` is a folder into which it was installed: `pip install --target PATH saturate`.

Then a token bucket of 20 requests a second that answers 429 with Retry-After, and a gateway whose slots go from 40 to
10 and back to 40.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from virtual_time import SlotGateway, TokenBucket, now, run, through_bucket

from qa_eval.targets.limiter import ConcurrencyLimiter
from qa_eval.targets.pace import Pace, is_queued

LINES = ((1, 1.0, 60), (2, 1.0, 60), (8, 0.5, 400), (40, 0.5, 1500), (40, 0.5, 5000), (200, 0.3, 5000))
"""Slots, mean seconds, questions."""
SIGMA = 0.6
WALL, LATENCY = 1.08, 1.15
REFUSED, RATE = 0.03, 0.95
SETTLED = 15.0
"""Latencies until the limit follows a capacity that has changed."""
CLOSE = 0.25
"""So close to the capacity, it has."""


@dataclass
class Run:
    """One run of one limiter."""

    wall_s: float
    flights: list[tuple[float, float]]
    """Start and latency of every answer."""
    pace: Pace = field(default_factory=lambda: Pace(None, None))

    def p50(self, *, excluding: bool) -> float:
        """Median latency, of all answers or of those outside of queue spells."""
        shown = [
            latency
            for start, latency in self.flights
            if not (excluding and is_queued(self.pace, datetime.fromtimestamp(start, UTC), latency))
        ]
        return median(shown) if shown else math.nan

    @property
    def excluded(self) -> float:
        """The share of answers that a queue spell excludes."""
        queued = [is_queued(self.pace, datetime.fromtimestamp(start, UTC), latency) for start, latency in self.flights]
        return sum(queued) / len(queued)


Contender = Callable[[SlotGateway, int], Awaitable[Run]]


async def ours(gateway: SlotGateway, questions: int, concurrency: int | None = None) -> Run:
    """This limiter."""
    limiter = ConcurrencyLimiter(concurrency, clock=now, wall_clock=now)
    flights = []

    async def ask(slot: Any) -> None:
        await slot.turn()
        start = now()
        await gateway.answer()
        flights.append((start, now() - start))
        slot.release()

    start = now()
    async with asyncio.TaskGroup() as group:
        for _ in range(questions):
            group.create_task(ask(await limiter.acquire()))
    return Run(now() - start, flights, limiter.pace())


class OldLimiter:
    """What qa-eval had before: it doubles, then steps, while the median latency is near the lowest."""

    def __init__(self) -> None:
        self.limit, self.doubles, self.unsettled = 4.0, True, 4
        self.latencies: list[float] = []
        self.lowest: float | None = None

    def answered(self, latency_s: float) -> None:
        if self.unsettled > 0:
            self.unsettled -= 1
            return
        self.latencies.append(latency_s)
        if len(self.latencies) >= max(8, int(self.limit)):
            self.adapt(median(self.latencies))
            self.latencies.clear()

    def adapt(self, latency_s: float) -> None:
        self.lowest = latency_s if self.lowest is None or self.limit <= 4 else min(latency_s, self.lowest)
        if latency_s > 1.7 * self.lowest:
            self.doubles, self.limit = False, max(min(4.0, self.limit), 0.75 * self.limit)
            self.unsettled = int(self.limit)
        elif latency_s < 1.3 * self.lowest:
            self.limit = min(256.0, self.limit + (self.limit if self.doubles else max(1.0, self.limit**0.5)))
            self.unsettled = int(self.limit)


async def old(gateway: SlotGateway, questions: int) -> Run:
    """The limiter before."""
    limiter, flights, free = OldLimiter(), list[tuple[float, float]](), asyncio.Event()
    in_flight = 0

    async def ask() -> None:
        nonlocal in_flight
        start = now()
        await gateway.answer()
        flights.append((start, now() - start))
        limiter.answered(now() - start)
        in_flight -= 1
        free.set()

    start = now()
    async with asyncio.TaskGroup() as group:
        for _ in range(questions):
            while in_flight >= int(limiter.limit):
                free.clear()
                await free.wait()
            in_flight += 1
            group.create_task(ask())
    return Run(now() - start, flights)


async def saturate(gateway: SlotGateway, questions: int) -> Run:
    """The limiter of `saturate`."""
    import saturate.core

    saturate.core.time = SimpleNamespace(monotonic=now)  # it measures its ticks by this clock
    flights = list[tuple[float, float]]()
    start = now()
    async with saturate.core.AdaptiveLimiter() as limiter:

        async def ask(slot: Any) -> None:
            start = now()
            await gateway.answer()
            flights.append((start, now() - start))
            limiter.observe(True, tokens=1, latency_s=now() - start)
            await slot.__aexit__(None, None, None)

        async with asyncio.TaskGroup() as group:
            for _ in range(questions):
                slot = limiter.slot()
                await slot.__aenter__()
                group.create_task(ask(slot))
        wall_s = now() - start
    return Run(wall_s, flights)


def measured(contender: Contender, line: tuple[int, float, int], sigma: float, seed: int, *, real: bool) -> Run:
    """One run."""
    slots, mean_s, questions = line

    async def main() -> Run:
        return await contender(SlotGateway(slots, mean_s, sigma, seed), questions)

    return asyncio.run(main()) if real else run(main)


@dataclass(frozen=True)
class Row:
    """A line of the table: of each figure, one for each seed."""

    wall: list[float]
    of_fixed: list[float]
    all_p50: list[float]
    p50: list[float]
    excluded: list[float]

    def text(self) -> str:
        """The cells."""
        figures = [self.wall, self.of_fixed, self.all_p50, self.p50]
        return "".join(f"{_figure(values):>15}" for values in figures) + f"{100 * median(self.excluded):>9.0f} %"

    @property
    def holds(self) -> bool:
        """Whether the medians are within the bounds."""
        return median(self.wall) <= WALL and median(self.p50) <= LATENCY


def row(contender: Contender, line: tuple[int, float, int], sigma: float, fixed: Sequence[Run], *, real: bool) -> Row:
    """A contender on one gateway, with the seeds of the runs at a fixed concurrency."""
    slots, mean_s, questions = line
    runs = [measured(contender, line, sigma, seed, real=real) for seed in range(len(fixed))]
    unloaded = mean_s * math.exp(-(sigma**2) / 2)
    ideal = questions * mean_s / slots + mean_s
    return Row(
        [each.wall_s / ideal for each in runs],
        [each.wall_s / other.wall_s for each, other in zip(runs, fixed, strict=True)],
        [each.p50(excluding=False) / unloaded for each in runs],
        [each.p50(excluding=True) / unloaded for each in runs],
        [each.excluded for each in runs],
    )


def _figure(values: Sequence[float]) -> str:
    shown = [value for value in values if not math.isnan(value)]
    if not shown:
        return "-"
    return f"{median(shown):.2f}" + (f" ({max(shown):.2f})" if len(values) > 1 else "")


def gateways(contenders: dict[str, Contender], seeds: int, *, real: bool) -> bool:
    """The table of gateways."""
    holds = True
    heads = "".join(f"{head:>15}" for head in ("wall", "of fixed", "p50, all", "p50, shown"))
    print(f"{'slots x s, questions':<24}{'times':<11}{'limiter':<10}{heads}{'excluded':>11}")
    for line in LINES:
        for sigma in (0.0, SIGMA):
            count = seeds if sigma and not real else 1

            async def fixed(gateway: SlotGateway, questions: int) -> Run:
                return await ours(gateway, questions, gateway.slots)

            exact = [measured(fixed, line, sigma, seed, real=real) for seed in range(count)]
            for name, contender in {"fixed": fixed, **contenders}.items():
                found = row(contender, line, sigma, exact, real=real)
                title = f"{line[0]} x {line[1]:g}, {line[2]:,}" if name == "fixed" else ""
                missed = name == "new" and not found.holds
                holds = holds and not missed
                times = "lognormal" if sigma else "equal"
                print(f"{title:<24}{times:<11}{name:<10}{found.text()}{'   missed' if missed else ''}", flush=True)
    return holds


async def throttled(questions: int, burst: float, sigma: float) -> tuple[float, float]:
    """The share of refused requests, and of the bucket's rate that is used."""
    limiter, bucket = ConcurrencyLimiter(None, clock=now, wall_clock=now), TokenBucket(20.0, burst)
    gateway = SlotGateway(10_000, 0.5, sigma)
    refused, seconds = await through_bucket(limiter, bucket, gateway, questions)
    return refused, (questions - burst) / 20.0 / seconds


def buckets(*, real: bool) -> bool:
    """The table of token buckets."""
    holds = True
    print(f"\n{'20 requests a second, 2,000 questions of 0.5 s':<52}{'refused':>10}{'of the rate':>14}")
    for burst in (20.0, 60.0):
        for sigma in (0.0, SIGMA):

            async def main(burst: float = burst, sigma: float = sigma) -> tuple[float, float]:
                return await throttled(2000, burst, sigma)

            refused, rate = asyncio.run(main()) if real else run(main)
            missed = refused > REFUSED or rate < RATE
            holds = holds and not missed
            title = f"a burst of {burst:g}, {'lognormal' if sigma else 'equal'} times"
            print(f"{title:<52}{100 * refused:>8.1f} %{rate:>14.3f}{'   missed' if missed else ''}")
    return holds


async def shifted(sigma: float, seed: int) -> list[float]:
    """How many latencies it takes until the limit is at the new capacity and stays for five."""
    mean_s, phase = 0.5, 40.0
    gateway = SlotGateway(40, mean_s, sigma, seed)
    limiter = ConcurrencyLimiter(None, clock=now, wall_clock=now)
    capacities = (40, 10, 40)
    taken: list[float] = []

    async def change() -> None:
        for slots in capacities:
            gateway.resize(slots)
            start, close_since = now(), math.inf
            settled: float | None = None
            while now() - start < phase * mean_s:
                await asyncio.sleep(mean_s / 10)
                close = abs(math.log(limiter.limit / slots)) <= math.log(1 + CLOSE)
                close_since = min(close_since, now()) if close else math.inf
                if settled is None and now() - close_since >= 5 * mean_s:
                    settled = (close_since - start) / mean_s
            taken.append(math.inf if settled is None else settled)

    async def ask(slot: Any) -> None:
        await slot.turn()
        await gateway.answer()
        slot.release()

    async with asyncio.TaskGroup() as group:
        changes = group.create_task(change())
        while not changes.done():
            group.create_task(ask(await limiter.acquire()))
    return taken


def shifts(seeds: int, *, real: bool) -> bool:
    """The table of a capacity that changes."""
    holds = True
    print(f"\n{'40, 10 and 40 slots x 0.5 s, for 40 latencies each':<52}{'start':>13}{'fall':>13}{'rise':>13}")
    for sigma in (0.0, SIGMA):
        found = []
        for seed in range(seeds if sigma and not real else 1):

            async def main(sigma: float = sigma, seed: int = seed) -> list[float]:
                return await shifted(sigma, seed)

            found.append(asyncio.run(main()) if real else run(main))
        columns = list(zip(*found, strict=True))
        missed = any(median(column) > SETTLED for column in columns)
        holds = holds and not missed
        title = f"latencies until settled, {'lognormal' if sigma else 'equal'} times"
        cells = "".join(f"{_figure(column):>13}" for column in columns)
        print(f"{title:<52}{cells}{'   missed' if missed else ''}")
    return holds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The pace of a run, beside rivals.")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--real", action="store_true", help="in real time, one seed")
    parser.add_argument("--rivals", type=Path, help="the folder that holds `saturate`")
    options = parser.parse_args()
    contenders: dict[str, Contender] = {"new": ours, "old": old}
    if options.rivals is not None:
        sys.path.append(str(options.rivals))
        contenders["saturate"] = saturate
    start = time.perf_counter()
    holds = [
        gateways(contenders, options.seeds, real=options.real),
        buckets(real=options.real),
        shifts(options.seeds, real=options.real),
    ]
    print(f"\n{time.perf_counter() - start:.0f} s")
    return int(not all(holds))


if __name__ == "__main__":
    sys.exit(main())
