"""The knee of a target: up to so many requests at once latency is constant, beyond it throughput is.

A target that serves S requests at once, each in D seconds, answers n concurrent requests after D seconds each while
n <= S, and after D * n / S seconds beyond, because S / D answers a second are all that it gives (Little's law). On
logarithmic axes that is a broken line of slope 0 and then 1. `Levels.knee` fits it: the latency before the knee and
the throughput after it are means of their own, as BBR estimates round trip and bandwidth apart (Cardwell et al.,
"BBR: congestion-based congestion control", 2016); the knee is their product. Where throughput grows gradually, the
line breaks near the point at which another request costs more latency than it brings throughput: the greatest power,
throughput over latency, of Kleinrock (1979).

A very long answer counts as a long one, so that it does not stand for many short ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_PRIOR_VARIANCE, _PRIOR_WEIGHT = 0.25, 0.3
"""What the spread of log latency is taken for before there are answers to tell it from."""
_LONGEST, _SURE = 5.0, 4
"""An answer counts as at most so many times the mean of its level, once that has more answers than this."""
_MARGIN = 1.03
"""The limit, in multiples of the knee."""
_KEPT_WEIGHT = 10.0
"""The weight of an earlier spread once its answers are forgotten."""


@dataclass(slots=True)
class _Level:
    """The answers that were in flight with so many others."""

    count: float = 0.0
    mean: float = 0.0
    """Of the latency."""
    log_mean: float = 0.0
    log_squares: float = 0.0
    """Sum of squares of the log latency around its mean."""

    def add(self, latency_s: float) -> None:
        self.count += 1
        if self.count > _SURE:
            latency_s = min(latency_s, _LONGEST * self.mean)
        self.mean += (latency_s - self.mean) / self.count
        step = math.log(latency_s) - self.log_mean
        self.log_mean += step / self.count
        self.log_squares += step * (math.log(latency_s) - self.log_mean)

    def forget(self, keep: float) -> None:
        """Let older answers weigh less, so that no more than `keep` count."""
        if self.count > keep:
            self.log_squares *= keep / self.count
            self.count = keep


@dataclass(frozen=True, slots=True)
class Mean:
    """The logarithm of a mean latency, and the number of answers behind it."""

    value: float
    count: float


@dataclass(frozen=True, slots=True)
class Knee:
    """The fit."""

    log_latency: float
    """Logarithm of the mean latency without a queue."""
    capacity: float
    """How many requests the target serves at once; infinite where no level shows a queue."""

    def expected(self, level: float) -> float:
        """Logarithm of the mean latency with so many requests in flight."""
        return self.log_latency + math.log(max(1.0, level / self.capacity))


class Levels:
    """Latencies by the number of requests in flight."""

    def __init__(self) -> None:
        self._levels: dict[int, _Level] = {}
        self._prior = _PRIOR_VARIANCE, _PRIOR_WEIGHT

    def __len__(self) -> int:
        return len(self._levels)

    def add(self, level: int, latency_s: float) -> None:
        """Count one answer. High levels are taken together with their neighbours."""
        width = max(1, level // 32)
        number = level // width * width
        found = self._levels.setdefault(number, _Level())
        found.add(latency_s)
        found.forget(max(200.0, 20.0 * number))

    def clear(self, spread: float) -> None:
        """Forget everything, except how much latencies vary."""
        self._prior = spread**2, _KEPT_WEIGHT
        self._levels.clear()

    def forget_above(self, level: float) -> None:
        """Forget the answers that had more company than this."""
        self._levels = {number: found for number, found in self._levels.items() if number <= level}

    def mean(self, low: float = 0.0, high: float = math.inf) -> Mean:
        """The mean over the levels from `low` to `high`."""
        found = [each for number, each in self._levels.items() if low <= number <= high]
        return _mean((math.log(each.mean), each.count) for each in found)

    @property
    def lowest(self) -> int:
        """The lowest level that has answers."""
        return min(self._levels, default=1)

    def spread(self, high: float = math.inf) -> float:
        """Standard deviation of log latency within a level, over the levels up to `high`: a queue evens answers out."""
        found = [each for number, each in self._levels.items() if number <= high]
        variance, weight = self._prior
        squares = sum(each.log_squares for each in found) + variance * weight
        return math.sqrt(squares / (sum(max(0.0, each.count - 1) for each in found) + weight))

    def knee(self) -> Knee:
        """The broken line of least squares; its knee is infinite where none fits better."""
        points = sorted((number, math.log(each.mean), each.count) for number, each in self._levels.items())
        best = Knee(_mean((y, weight) for _, y, weight in points).value, math.inf)
        least = _error(best, points)
        for i in range(1, len(points)):
            below = _mean((y, weight) for _, y, weight in points[:i]).value
            above = _mean((y - math.log(number), weight) for number, y, weight in points[i:]).value
            capacity = min(max(math.exp(below - above), points[i - 1][0]), points[i][0])
            found = _level_of(capacity, points)
            if (error := _error(found, points)) < least - 1e-9:
                best, least = found, error
        return best


def limit_for(capacity: float) -> int:
    """The limit for a capacity: rather a little above, where a short queue costs less than an idle place."""
    return max(1, math.floor(_MARGIN * capacity + 0.5))


def _mean(values: Iterable[tuple[float, float]]) -> Mean:
    total = weight = 0.0
    for value, count in values:
        total += value * count
        weight += count
    return Mean(total / weight if weight else 0.0, weight)


def _level_of(capacity: float, points: list[tuple[int, float, float]]) -> Knee:
    """The best latency for a capacity."""
    queued = ((y - math.log(max(1.0, number / capacity)), weight) for number, y, weight in points)
    return Knee(_mean(queued).value, capacity)


def _error(knee: Knee, points: list[tuple[int, float, float]]) -> float:
    return sum(weight * (y - knee.expected(number)) ** 2 for number, y, weight in points)
