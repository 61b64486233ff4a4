"""Finds that answers have become slower or faster: a cumulative sum of differences (Page's CUSUM)."""

from __future__ import annotations

import math

_SLACK, _ALARM, _CLIP = 0.5, 8.0, 2.5
"""In standard deviations: drift that is ignored, sum that is an alarm, most that one answer counts."""


class ChangeDetector:
    """Adds up how much log latencies differ from what is expected."""

    def __init__(self, now: float) -> None:
        self._slower = self._faster = 0.0
        self._since = now
        self._count = 0

    @property
    def is_slower(self) -> bool:
        """Whether the change, if there is one, is to slower answers."""
        return self._slower > self._faster

    def reset(self) -> None:
        """Start anew."""
        self._slower = self._faster = 0.0

    def add(self, latency_s: float, end: float, expected: float, spread: float, *, both: bool) -> None:
        """Take one answer into account.

        Args:
            latency_s: Its latency.
            end: When it came.
            expected: The logarithm of the mean latency that is expected.
            spread: Standard deviation of log latency.
            both: Whether a faster answer counts too.
        """
        # The mean of logarithms is below the logarithm of the mean, by this where they are normal.
        score = (math.log(latency_s) - (expected - spread**2 / 2)) / spread
        score = min(max(score, -_CLIP), _CLIP)
        self._slower = max(0.0, self._slower + score - _SLACK)
        if both:
            self._faster = max(0.0, self._faster - score - _SLACK)
        self._count += 1
        if self._slower == 0.0 and self._faster == 0.0:
            self._since, self._count = end, 0

    def since(self, fewest: float) -> float | None:
        """When the change began, if there is one that more than `fewest` answers show."""
        # Neighbours wait in the same queue: a few of them show nothing.
        return self._since if self._count > fewest and max(self._slower, self._faster) > _ALARM else None
