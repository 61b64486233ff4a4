"""Finds the limit of concurrent requests at which throughput stops growing, and follows it.

A pure state machine: it takes answered requests with their times and says how many may be in flight.

- CLIMB: the limit is multiplied while latency stays, starting at one request, whose latency has no queue in it.
- REFINE: answers are collected below or above the knee that `knee.Levels` fits, wherever there are too few to place it.
- SETTLED: the limit is the knee. Every answer refines it.
- PROBE: now and then, and the more rarely the longer nothing changes, the limit goes up a little, because a capacity
  that has grown shows in no other way (BBR's PROBE_BW).

A `ChangeDetector` finds that answers have become slower or faster. The
limit then follows the throughput that is left, as BBR's follows the product of bandwidth and round trip, and the knee
is measured anew; so a target whose answers only became longer gets its old limit back.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise

from qa_eval.targets.change import ChangeDetector
from qa_eval.targets.in_order import Flight, InOrder
from qa_eval.targets.knee import Knee, Levels, limit_for
from qa_eval.targets.pace import Reason
from qa_eval.targets.tally import LEVEL, Tally, is_level

MOST = 512
_FIRST = 2
_STEPS = (2.0, 16.0)
"""The first climb multiplies the limit by at least and at most this."""
_HARMLESS_S = 4.0
"""Between the two: by so much that a queue it causes is gone after this time."""
_NEXT_STEP = 2.0
"""A later climb multiplies by this."""
_ROUND = 1.25
"""A probe is judged after this share: among equal answers, only the last of a round wait."""
_SPREAD = 0.2
"""A step's requests are sent over this share of a latency."""
_HALF = 0.5
"""Throughput grows while latency rises by less than this share (in logarithms) of what the limit rises by."""
_GROWN = 0.25
"""A probe counts as growth below this share: a wrong climb costs more than a late one."""
_BATCH = 0.75
"""A level of a climb is judged after this share of its requests are answered."""
_SLOW, _STALLED = 1.2, 0.5
"""A climb ends where after so many latencies, and two standard deviations, less than this share is answered."""
_STUCK = 3.0
"""A request that takes so many times the latency of others holds them back no longer."""
_TOLERANCE = 0.08
"""How exactly (in logarithms) a large knee is placed; a small one to half a request."""
_BELOW, _ABOVE = 0.9, 1.1
"""Answers outside of these multiples of the knee place it."""
_LOWER, _HIGHER = 0.85, 1.15
"""Where they are collected."""
_INTERVAL, _LONGEST_INTERVAL, _INTERVAL_GROWTH = 4.0, 80.0, 1.5
"""Rounds, of as many answers as the limit, between two probes."""
_LEAST_INTERVAL = 20
"""Answers between two probes."""
_PROBE_SIGMA, _PROBE_ROUNDS, _PROBE_STEPS = 3.0, 1.5, (0.1, 1.0)
"""A probe goes up by what so many rounds can tell from nothing with this certainty; at least and at most so far."""
_LEAST_SPREAD, _CUT = 0.1, 0.7
"""The least standard deviation of log latency that is assumed; the most that a slower target leaves of the limit."""


class Phase(Enum):
    """What the search does."""

    CLIMB = auto()
    REFINE = auto()
    SETTLED = auto()
    PROBE = auto()


@dataclass(slots=True)
class _Stretch:
    """A time, up to the next stretch, in which up to `level` requests were in flight."""

    start: float
    level: int
    reason: Reason = Reason.PROBING


class CapacitySearch:
    """The limit of concurrent requests, from what requests show."""

    def __init__(self, now: float) -> None:
        self.settled: tuple[int, float] | None = None
        """The limit it settled on last, and the answers a second there."""
        self._phase = Phase.CLIMB
        self._limit = _FIRST
        self._before = _FIRST
        """The limit before a climb's step or a probe."""
        self._levels = Levels()
        self._knee: Knee | None = None
        self._order = InOrder()
        self._latency_s: float | None = None
        """Mean of the latest answers."""
        self._ends: deque[float] = deque(maxlen=2 * MOST)
        self._first_climb = True
        self._draining = False
        self._interval = _INTERVAL
        self._stretches = [_Stretch(now, _FIRST)]
        """What was tried and is not judged yet, oldest first."""
        self._queued: list[tuple[float, float, Reason]] = []
        self._learning_since = now
        """Requests that were sent earlier show nothing of the target as it is now."""
        self._doubted: float | None = None
        """Log latency without a queue, before answers became slower."""
        self._change = ChangeDetector(now)
        self._watched = self._since_probe = 0
        self._usual_spread = 1.0
        self._needed = 1.0
        self._restart(now)

    @property
    def limit(self) -> int:
        """How many requests may be in flight."""
        return self._limit

    @property
    def gap_s(self) -> float:
        """Time between two requests of a climb: a target that refuses them can say so before all are sent."""
        if self._phase is not Phase.CLIMB or self._limit == 1 or self._latency_s is None:
            return 0.0
        return _SPREAD * self._latency_s / self._limit

    def queued(self, now: float) -> list[tuple[float, float, Reason]]:
        """When more requests were in flight than the target served at once, as far as is known; and why."""
        return [*self._queued, *self._overfull([*self._stretches, _Stretch(now, 0)])]

    # --- what happens -----------------------------------------------------------------------------------------------

    def sent(self, now: float, level: int) -> int:
        """A request is sent, as one of so many in flight; returns its number."""
        return self._order.sent(now, level, self._limit)

    def lost(self, number: int) -> None:
        """A request has no answer that shows anything."""
        self._order.lost(number)

    def answered(self, number: int, flight: Flight) -> None:
        """A request has its answer."""
        latency_s = flight.latency_s
        self._latency_s = latency_s if self._latency_s is None else 0.9 * self._latency_s + 0.1 * latency_s
        self._ends.append(flight.end)
        self._order.answered(number, flight)
        self._arrived.add(flight)
        for ready in self._order.ready(flight.end, _STUCK * self._latency_s):
            self._take(ready, flight.end)
        if self._phase is Phase.CLIMB:
            self._climb(flight.end)

    def in_flight(self, count: int, now: float) -> None:
        """So many requests are in flight; after the limit fell, it takes a while until no more are."""
        if self._draining and count <= self._limit:
            self._draining = False
            self._stretches.append(_Stretch(now, self._limit))
            self._restart(now)

    # --- phases -----------------------------------------------------------------------------------------------------

    def _take(self, flight: Flight, now: float) -> None:
        if not is_level(flight) or flight.start < self._learning_since:
            return
        self._levels.add(flight.level, flight.latency_s)
        if self._phase in (Phase.SETTLED, Phase.PROBE) and (since := self._watch_change(flight)) is not None:
            self._relearn(since, now)
            return
        if flight.start < self._own.since:
            return
        self._own.add(flight)
        if self._phase is Phase.SETTLED:
            self._watch(now)
        elif self._phase is Phase.REFINE and self._own.count >= self._needed:
            self._settle(now)
        elif self._phase is Phase.PROBE and self._own.count >= self._needed:
            self._judge(now)

    def _climb(self, now: float) -> None:
        """Judge a climb's level by the first answers that arrive; they are the short ones, so that it goes too far."""
        arrived = self._arrived
        if arrived.count == 0 or arrived.answered < self._needed:
            self._give_up(now)
            return
        if arrived.level < LEVEL * self._limit:
            # The limit was not used: nothing is known of it.
            self._restart(now)
            return
        rise, ratio, noise = self._rise(arrived)
        if self._limit > _FIRST and (rise > _HALF * ratio or (rise > 0.1 and rise > 2 * noise)):
            self._end_climb(now)
        elif self._limit >= MOST:
            self._collect(self._limit, now)
        else:
            self._step_up(self._factor(), now)

    def _give_up(self, now: float) -> None:
        """End a climb whose answers fail to come."""
        started = self._limit > _FIRST and len(self._order) >= LEVEL * self._limit
        if not started or self._arrived.answered >= _STALLED * self._limit:
            return
        if now - self._arrived.since > (_SLOW + 2 * self._spread) * self._base_s:
            self._end_climb(now)

    def _end_climb(self, now: float) -> None:
        """The limit becomes what is answered in one latency: what the target serves at once, by Little's law."""
        # Whole latencies, because equal answers come in bursts.
        window = self._base_s * max(1, math.floor((now - self._arrived.since) / self._base_s - 1))
        served = round(self._served(window, now) * self._base_s)
        self._collect(min(self._limit, max(self._before // 2, served)), now)

    @property
    def _spread(self) -> float:
        """Standard deviation of log latency without a queue."""
        return self._levels.spread(high=self._before if self._knee is None else 1.1 * self._knee.capacity)

    @property
    def _base_s(self) -> float:
        """The latency up to the limit before."""
        return math.exp(self._levels.mean(high=self._before).value)

    def _step_up(self, factor: float, now: float) -> None:
        self._before = self._limit
        self._set_limit(max(self._limit + 1, round(self._limit * factor)), now)
        self._enter(Phase.CLIMB, now, needed=max(_BATCH * self._limit, min(self._limit, 8)))

    def _factor(self) -> float:
        if not self._first_climb:
            return _NEXT_STEP
        least, most = _STEPS
        longest_s = (self._latency_s or 1.0) * math.exp(self._spread)
        return min(max(_HARMLESS_S / longest_s, least), most)

    def _collect(self, limit: int, now: float) -> None:
        """See what answers at a limit show."""
        self._first_climb = False
        self._set_limit(limit, now)
        self._enter(Phase.REFINE, now, needed=max(2.0, _BATCH * self._limit))

    def _rise(self, tally: Tally) -> tuple[float, float, float]:
        """By how much latency and level rose since the limit before, in logarithms, and the first's standard error."""
        below = self._levels.mean(high=self._before)
        rise = tally.log_latency - below.value
        noise = max(self._spread, _LEAST_SPREAD / 2) * math.sqrt(1 / tally.count + 1 / max(1.0, below.count))
        return rise, math.log(max(1.0, tally.level / self._before)), noise

    def _settle(self, now: float) -> None:
        """Choose the limit by the fit, or collect answers where the fit has too few."""
        knee = self._knee = self._levels.knee()
        if math.isinf(knee.capacity):
            self._without_knee(now)
            return
        limit = limit_for(knee.capacity)
        needed = self._weight_needed(limit)
        below = self._levels.mean(high=max(1.0, _BELOW * knee.capacity)).count
        above = self._levels.mean(low=max(limit + 1, _ABOVE * knee.capacity)).count
        if below < needed and limit > 1:
            # A knee at the lowest level that was tried may as well be lower.
            share = _LOWER if knee.capacity > self._levels.lowest else _HALF
            self._set_limit(math.floor(share * knee.capacity), now)
            self._enter(Phase.REFINE, now, needed=needed - below)
        elif above < needed:
            self._set_limit(max(limit + 1, math.ceil(_HIGHER * knee.capacity)), now)
            self._enter(Phase.REFINE, now, needed=needed - above)
        else:
            self._set_limit(limit, now)
            self._enter(Phase.SETTLED, now)

    def _watch(self, now: float) -> None:
        """Settled: follow the fit, and probe when it is time."""
        self._since_probe += 1
        if self._own.count >= max(8, self._limit) and self._latency_s is not None:
            # Requests of this limit are answered from one latency after it was set.
            answering_s = max(now - self._arrived.since - self._latency_s, self._latency_s)
            self.settled = self._limit, self._arrived.answered / answering_s
        if self._since_probe >= max(_LEAST_INTERVAL, self._interval * self._limit):
            self._probe(now)
        elif self._own.count % max(8, self._limit) == 0:
            self._follow(now)

    def _without_knee(self, now: float) -> None:
        """No level shows a queue. After answers became slower, that may be because all of them had one."""
        doubted, self._doubted = self._doubted, None
        if doubted is not None and self._limit > 1 and self._levels.mean().value > doubted + _ABOVE - 1:
            self._collect(self._limit // 2, now)
        elif self._limit < MOST:
            self._step_up(_NEXT_STEP, now)
        else:
            self._enter(Phase.SETTLED, now)

    def _follow(self, now: float) -> None:
        knee = self._knee = self._levels.knee()
        limit = limit_for(knee.capacity) if math.isfinite(knee.capacity) else self._limit
        if abs(limit - self._limit) >= max(1.0, 0.04 * self._limit):
            since_probe = self._since_probe
            self._set_limit(limit, now)
            self._enter(Phase.SETTLED, now)
            self._since_probe = since_probe

    def _probe(self, now: float) -> None:
        if self._own.level < LEVEL * self._limit or self._limit >= MOST:
            self._since_probe = 0
            return
        spread = max(self._spread, _LEAST_SPREAD / 2)
        least, most = _PROBE_STEPS
        told = math.exp(_PROBE_SIGMA * spread / math.sqrt(_PROBE_ROUNDS * self._limit)) - 1
        self._before = self._limit
        self._set_limit(self._limit + max(1, round(min(max(told, least), most) * self._limit)), now)
        needed = (_PROBE_SIGMA * spread / math.log(self._limit / self._before)) ** 2
        self._enter(Phase.PROBE, now, needed=max(_ROUND * self._limit, needed))

    def _judge(self, now: float) -> None:
        """A probe has its answers."""
        rise, ratio, noise = self._rise(self._own)
        if rise < min(_GROWN * ratio, ratio - 2.5 * noise):
            self._levels.forget_above(self._limit)
            self._step_up(_NEXT_STEP, now)
            return
        self._interval = min(self._interval * _INTERVAL_GROWTH, _LONGEST_INTERVAL)
        self._knee = self._levels.knee()
        self._set_limit(self._before, now)
        self._enter(Phase.SETTLED, now)

    # --- change -----------------------------------------------------------------------------------------------------

    def _watch_change(self, flight: Flight) -> float | None:
        """When answers began to be slower or faster than the fit, if they did."""
        self._watched += 1
        if self._watched % 32 == 1:
            self._usual_spread = max(self._spread, _LEAST_SPREAD)
        knee = self._knee or Knee(self._levels.mean().value, math.inf)
        # In a probe most answers may be faster than their mean, where a few of them wait.
        both = self._phase is Phase.SETTLED and flight.start >= self._own.since
        expected = knee.expected(flight.level)
        self._change.add(flight.latency_s, flight.end, expected, self._usual_spread, both=both)
        return self._change.since(self._limit / 4)

    def _relearn(self, since: float, now: float) -> None:
        limit, slower = self._limit, self._change.is_slower
        if slower and self.settled is not None:
            before, rate = self.settled
            left = before * self._served(before / rate, now) / rate
            limit = max(1, round(min(left, _CUT * limit)))
        self._doubted = self._knee.log_latency if slower and self._knee else None
        self._levels.clear(self._spread)
        self._learning_since = since
        self._knee = None
        self._interval = _INTERVAL / _INTERVAL_GROWTH
        self._stretches.append(_Stretch(since, self._limit, Reason.OVERLOADED))
        self._before = limit
        self._change.reset()
        self._collect(limit, now)

    def _served(self, window_s: float, now: float) -> float:
        """Answers a second of late."""
        return sum(1 for end in self._ends if end > now - window_s) / window_s

    # --- bookkeeping ------------------------------------------------------------------------------------------------

    def _weight_needed(self, limit: int) -> float:
        tolerance = max(_TOLERANCE, math.log(1 + 0.75 / limit))
        return max(1.0, (self._spread / tolerance) ** 2)

    def _set_limit(self, limit: int, now: float) -> None:
        limit = max(1, min(MOST, limit))
        if limit > self._limit:
            self._stretches.append(_Stretch(now, limit))
            self._draining = False
        elif limit < self._limit:
            self._draining = True
        self._limit = limit

    def _enter(self, phase: Phase, now: float, *, needed: float = 0.0) -> None:
        if phase is Phase.SETTLED:
            if self._phase is Phase.REFINE:
                self._change.reset()
            self._queued += self._overfull(self._stretches)
            del self._stretches[:-1]
        self._phase, self._needed = phase, needed
        self._restart(now)

    def _restart(self, now: float) -> None:
        """Requests that are sent from now on belong to this limit."""
        self._own, self._arrived = Tally(now), Tally(now)
        self._since_probe = 0

    def _overfull(self, stretches: list[_Stretch]) -> list[tuple[float, float, Reason]]:
        """Of consecutive stretches, all but the last, those beyond the knee."""
        if self._knee is None or math.isinf(self._knee.capacity):
            return []
        most = max(1.1 * self._knee.capacity, limit_for(self._knee.capacity))
        pairs = pairwise(stretches)
        return [(each.start, end.start, each.reason) for each, end in pairs if each.level > most]
