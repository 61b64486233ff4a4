"""The adaptive limit: against a gateway whose latency is a rule, in simulated time."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.targets import limiter
from qa_eval.targets.limiter import FIRST, MOST, ConcurrencyLimiter


def windows(found: ConcurrencyLimiter, latency: object, count: int) -> None:
    """Answers at the limiter's own limit, each with the latency that this limit causes."""
    for _ in range(count):
        for _ in range(found.limit + max(limiter._LEAST_SAMPLES, found.limit)):
            found.answered(latency(found.limit))  # type: ignore[operator]


def test_it_grows_while_latency_holds_and_has_a_bound() -> None:
    found = ConcurrencyLimiter(None)
    windows(found, lambda _: 0.5, 3)
    assert found.limit == 8 * FIRST
    windows(found, lambda _: 0.5, 20)
    assert found.limit == MOST


def test_it_settles_where_the_gateway_begins_to_queue() -> None:
    found = ConcurrencyLimiter(None)
    windows(found, lambda limit: 0.5 * max(1.0, limit / 40), 60)
    assert 30 <= found.limit <= 80


def test_it_shrinks_when_the_gateway_slows_down_and_recovers() -> None:
    found = ConcurrencyLimiter(None)
    windows(found, lambda _: 0.5, 4)
    before = found.limit
    windows(found, lambda _: 2.0, 12)
    assert found.limit < before / 3
    low = found.limit
    windows(found, lambda _: 0.5, 10)
    assert found.limit > low


def test_429_halves_once_for_all_that_were_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ConcurrencyLimiter(None)
    windows(found, lambda _: 0.5, 2)
    for _ in range(20):
        found.throttled(None)
    assert found.limit == 2 * FIRST
    later = time.monotonic() + 5
    monkeypatch.setattr(limiter.time, "monotonic", lambda: later)
    found.throttled(None)
    assert found.limit == FIRST


def test_nothing_is_asked_before_the_gateway_wants_to_be() -> None:
    async def waited() -> float:
        found = ConcurrencyLimiter(4)
        found.throttled(0.3)
        start = time.monotonic()
        await found.acquire()
        return time.monotonic() - start

    assert 0.29 < asyncio.run(waited()) < 0.6


def test_a_fixed_limit_stays() -> None:
    found = ConcurrencyLimiter(5)
    windows(found, lambda _: 9.0, 5)
    found.throttled(None)
    assert found.limit == 5


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(0.001, 100), st.none()), max_size=300))
def test_it_is_never_without_a_slot_and_never_above_its_bound(events: list[float | None]) -> None:
    found = ConcurrencyLimiter(None)
    for event in events:
        if event is None:
            found.throttled(None)
        else:
            found.answered(event)
        assert 1 <= found.limit <= MOST


def test_no_more_are_in_flight_than_the_limit_says() -> None:
    async def most() -> int:
        found, seen, tasks = ConcurrencyLimiter(3), 0, set()

        async def one() -> None:
            await asyncio.sleep(0.01)
            found.release()

        for _ in range(30):
            await found.acquire()
            seen = max(seen, found.in_flight)
            tasks.add(asyncio.create_task(one()))
        await asyncio.gather(*tasks)
        return seen

    assert asyncio.run(most()) == 3
