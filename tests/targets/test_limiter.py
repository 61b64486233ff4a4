"""The limiter against gateways whose speed is known, in simulated time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Any, Protocol

import pytest
from virtual_time import SharedProcessor, SlotGateway, TokenBucket, now, run, through_bucket

from qa_eval.targets.limiter import ConcurrencyLimiter, Slot
from qa_eval.targets.pace import Pace, Reason, Spell, is_queued, merge


class Gateway(Protocol):
    async def answer(self) -> None: ...


def new(concurrency: int | None = None) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(concurrency, clock=now, wall_clock=now)


class Asked:
    """Questions that were asked of a gateway through a limiter."""

    def __init__(self, gateway: Gateway, limiter: ConcurrencyLimiter) -> None:
        self.gateway = gateway
        self.limiter = limiter
        self.flights: list[tuple[float, float]] = []
        self.most = 0
        self.wall_s = 0.0
        self.pace = Pace(None, None)

    async def ask(self, slot: Slot) -> None:
        self.most = max(self.most, self.limiter.in_flight)
        await slot.turn()
        start = now()
        await self.gateway.answer()
        self.flights.append((start, now() - start))
        slot.release()

    async def questions(self, count: int) -> None:
        start = now()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self.ask(await self.limiter.acquire()))
        self.wall_s += now() - start
        self.pace = self.limiter.pace()

    def shown_s(self) -> list[float]:
        """Latencies of the answers that no spell excludes."""
        found = []
        for start, latency in self.flights:
            if not is_queued(self.pace, datetime.fromtimestamp(start, UTC), latency):
                found.append(latency)
        return found


def asked(gateway: Gateway, count: int, concurrency: int | None = None) -> Asked:
    async def main() -> Asked:
        found = Asked(gateway, new(concurrency))
        await found.questions(count)
        return found

    return run(main)


# --- the knee -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slots", "count"), [(1, 60), (2, 60), (3, 150), (8, 400), (40, 1500), (200, 3000)])
def test_it_settles_where_throughput_stops_growing(slots: int, count: int) -> None:
    found = asked(SlotGateway(slots, 0.5), count)
    pace = found.pace
    assert pace.concurrency is not None
    assert abs(pace.concurrency - slots) <= max(0.0, 0.1 * slots)
    assert pace.per_second == pytest.approx(slots / 0.5, rel=0.12)
    assert found.wall_s <= 1.08 * count * 0.5 / slots + 4 * 0.5
    assert median(found.shown_s()) <= 1.01 * 0.5


@pytest.mark.parametrize("slots", [4, 40])
def test_answers_of_very_different_length_do_not_fool_it(slots: int) -> None:
    limits, walls, latencies = [], [], []
    for seed in range(2):
        gateway = SlotGateway(slots, 0.5, sigma=0.6, seed=seed)
        count = 1000
        exact = asked(SlotGateway(slots, 0.5, sigma=0.6, seed=seed), count, slots)
        found = asked(gateway, count)
        limits.append(found.pace.concurrency or math.nan)
        walls.append(found.wall_s / exact.wall_s)
        latencies.append(median(found.shown_s()) / median(latency for _, latency in exact.flights))
    assert all(limit == pytest.approx(slots, rel=0.26) for limit in limits)
    assert max(walls) < 1.25
    assert max(latencies) < 1.15


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_processors_that_two_requests_share_get_one_at_a_time(sigma: float) -> None:
    """Throughput grows by a fifth from one request to two, while latency grows by two thirds."""
    found = asked(SharedProcessor(1.0, gain=1.2, sigma=sigma), 100)
    assert found.pace.concurrency == 1
    assert median(found.shown_s()) < 1.3


def test_few_answers_are_excluded_from_a_long_run() -> None:
    found = asked(SlotGateway(10, 0.5), 2500)
    assert len(found.shown_s()) > 0.85 * len(found.flights)


# --- change ---------------------------------------------------------------------------------------------------------


def test_it_follows_a_capacity_that_falls_and_comes_back() -> None:
    async def main() -> list[int]:
        gateway = SlotGateway(40, 0.5)
        found = Asked(gateway, new())
        limits = []

        async def change() -> None:
            for slots in (40, 10, 40):
                gateway.resize(slots)
                await asyncio.sleep(20.0)
                limits.append(found.limiter.limit)

        async with asyncio.TaskGroup() as group:
            group.create_task(change())
            await found.questions(40 * 40 + 10 * 40 + 40 * 35)
        assert Reason.OVERLOADED in {spell.reason for spell in found.pace.spells}
        assert median(found.shown_s()) < 0.55
        return limits

    for limit, slots in zip(run(main), (40, 10, 40), strict=True):
        assert limit == pytest.approx(slots, rel=0.25)


def test_longer_answers_alone_do_not_lower_the_limit_for_long() -> None:
    async def main() -> int | None:
        gateway = SlotGateway(16, 0.5)
        found = Asked(gateway, new())
        await found.questions(800)
        gateway.mean_s = 1.5
        await found.questions(800)
        return found.pace.concurrency

    assert run(main) == pytest.approx(16, rel=0.25)


# --- 429 ------------------------------------------------------------------------------------------------------------


def test_no_try_is_sent_before_retry_after_and_not_all_at_once_then() -> None:
    async def main() -> list[float]:
        limiter, sent = new(8), []
        slots = [await limiter.acquire() for _ in range(8)]
        await slots[0].turn()
        await asyncio.sleep(0.1)
        slots[0].throttled(3.0)
        start = now()

        async def one(slot: Slot) -> None:
            await slot.turn()
            sent.append(now() - start)

        await asyncio.gather(*map(one, slots))
        assert limiter.pace().spells[0].reason is Reason.THROTTLED
        return sent

    sent = run(main)
    assert min(sent) >= 2.99
    assert max(sent) - min(sent) > 0.3


@pytest.mark.parametrize(("burst", "sigma"), [(20, 0.0), (20, 0.6), (60, 0.6)])
def test_it_learns_the_rate_that_a_target_accepts(burst: int, sigma: float) -> None:
    async def main() -> tuple[float, float]:
        limiter, bucket, gateway = new(), TokenBucket(20.0, burst), SlotGateway(10_000, 0.5, sigma)
        refused, seconds = await through_bucket(limiter, bucket, gateway, 2000)
        return refused, (2000 - burst) / 20 / seconds

    refused, used = run(main)
    assert refused < 0.03
    assert used > 0.92


# --- slots ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 3, 17])
def test_a_fixed_concurrency_is_exact(concurrency: int) -> None:
    found = asked(SlotGateway(2, 0.5, sigma=0.6), 100, concurrency)
    assert found.most == concurrency
    assert found.pace == Pace(concurrency, None)


def test_the_limit_is_never_exceeded_by_new_questions() -> None:
    async def main() -> None:
        limiter, gateway = new(), SlotGateway(5, 0.5)

        async def ask(slot: Slot) -> None:
            await slot.turn()
            await gateway.answer()
            slot.release()

        async with asyncio.TaskGroup() as group:
            for _ in range(300):
                slot = await limiter.acquire()
                assert 1 <= limiter.in_flight <= limiter.limit
                group.create_task(ask(slot))
        assert limiter.in_flight == 0

    run(main)


def test_cancelled_questions_leave_no_slot_behind() -> None:
    async def main() -> None:
        limiter, gateway = new(2), SlotGateway(1, 0.5)

        def start(task: Coroutine[Any, Any, None], slot: Slot) -> asyncio.Task[None]:
            found = asyncio.create_task(task)
            found.add_done_callback(slot.release)
            return found

        async def ask(slot: Slot) -> None:
            await slot.turn()
            await gateway.answer()

        async def wait(slot: Slot) -> None:
            await slot.turn()

        tasks = [start(ask(slot), slot) for slot in [await limiter.acquire(), await limiter.acquire()]]
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.1)
        for task in (*tasks, waiting):
            task.cancel()
        await asyncio.gather(*tasks, waiting, return_exceptions=True)
        assert limiter.in_flight == 0
        slot = await limiter.acquire()
        await slot.turn()
        slot.throttled(60.0)
        paused = start(wait(slot), slot)
        await asyncio.sleep(1.0)
        paused.cancel()
        await asyncio.gather(paused, return_exceptions=True)
        assert limiter.in_flight == 0
        other = await limiter.acquire()
        begun = now()
        await other.turn()
        assert now() - begun == pytest.approx(59.0, abs=0.1)

    run(main)


def test_a_slot_is_released_once() -> None:
    async def main() -> None:
        limiter = new(2)
        slot = await limiter.acquire()
        slot.release()
        slot.release()
        assert limiter.in_flight == 0

    run(main)


# --- spells ---------------------------------------------------------------------------------------------------------


def test_an_answer_is_queued_if_its_flight_overlaps_a_spell() -> None:
    pace = Pace(4, 1.0, (Spell(100.0, 110.0, Reason.PROBING), Spell(200.0, 201.0, Reason.THROTTLED)))

    def queued(start: float, latency_s: float) -> bool:
        return is_queued(pace, datetime.fromtimestamp(start, UTC), latency_s)

    assert [queued(*each) for each in ((90, 9), (90, 11), (105, 1), (109, 50), (110, 50))] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert [queued(*each) for each in ((150, 100), (199, 1.5), (201, 5), (300, 1))] == [True, True, False, False]
    assert not is_queued(Pace(4, 1.0), datetime.now(UTC), 5.0)


def test_spells_that_overlap_or_follow_each_other_are_merged() -> None:
    spells = [
        Spell(5.0, 6.0, Reason.PROBING),
        Spell(0.0, 2.0, Reason.PROBING),
        Spell(2.0, 3.0, Reason.PROBING),
        Spell(6.0, 8.0, Reason.OVERLOADED),
        Spell(7.0, 9.0, Reason.THROTTLED),
    ]
    assert merge(spells) == (
        Spell(0.0, 3.0, Reason.PROBING),
        Spell(5.0, 6.0, Reason.PROBING),
        Spell(6.0, 9.0, Reason.OVERLOADED),
    )


def test_the_start_and_probes_are_spells_where_they_overshoot() -> None:
    found = asked(SlotGateway(3, 0.5), 150)
    spells = found.pace.spells
    assert spells
    assert {spell.reason for spell in spells} == {Reason.PROBING}
    assert all(a.end <= b.start for a, b in pairwise(spells))
    assert max(found.shown_s()) < 0.51
