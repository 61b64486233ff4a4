"""The rate of requests that a target accepts, learned from its 429s.

Between two moments at which a token bucket is empty it has accepted just what has flowed into it. So the accepted
requests between two refusals, over the time between them, are the rate: measured, not searched by halving. After a
refusal the rate is held, the longer the more often that was needed, then raised until the next refusal, because
quotas grow.
"""

from __future__ import annotations

_KEPT = 0.97
"""A refusal proves that the rate was too high: the next one is at most this share of it."""
_LEAST_KEPT, _SURE_HOLD_S = 0.9, 4.0
"""Nor is it less than this share, once the rate was held for so long: the target may have been asked for less."""
_FEWEST = 8
"""Fewer accepted requests than this measure no rate."""
_FIRST_HOLD_S, _LONGEST_HOLD_S = 1.0, 300.0
_GROWTH = 0.5
"""How fast the rate grows after the first hold, a second; after longer ones more slowly."""
_LEAST_GROWTH = 0.02
_SMOOTH_S = 0.005
"""Requests may be early by this: an event loop does not sleep more exactly."""


class RequestRate:
    """When the next request may be sent. Every method takes the time, in seconds on any one clock."""

    def __init__(self) -> None:
        self._per_second: float | None = None
        self._not_before = 0.0
        self._next = 0.0
        self._grown_at = 0.0
        self._hold_s = _FIRST_HOLD_S / 2
        self._held_until = 0.0
        self._refused_at: float | None = None
        self._first: float | None = None
        self._accepted = 0

    @property
    def per_second(self) -> float | None:
        """The learned rate; None while nothing was refused."""
        return self._per_second

    @property
    def not_before(self) -> float:
        """When `Retry-After` ends."""
        return self._not_before

    def wait_s(self, now: float) -> float:
        """Seconds until the next request may be sent; 0 or less for now."""
        self._grow(now)
        return max(self._not_before, self._next - _SMOOTH_S) - now

    def sent(self, now: float, gap_s: float = 0.0) -> None:
        """Count a request; without a learned rate the next one is `gap_s` later."""
        if self._first is None:
            self._first = now
        self._accepted += 1
        gap = 1 / self._per_second if self._per_second is not None else gap_s
        self._next = max(self._next, now - _SMOOTH_S) + gap

    def refused(self, sent_at: float, now: float, retry_after_s: float | None) -> bool:
        """The target answered 429.

        Args:
            sent_at: When the refused request was sent.
            now: The time.
            retry_after_s: What `Retry-After` says.

        Returns:
            Whether this is news: requests that were sent before an earlier refusal was known show nothing new.
        """
        if retry_after_s is not None:
            self._not_before = max(self._not_before, now + retry_after_s)
        if self._refused_at is not None and sent_at <= self._refused_at:
            return False
        self._accepted -= 1
        self._learn(now)
        self._refused_at, self._accepted = now, 0
        self._hold_s = min(2 * self._hold_s, _LONGEST_HOLD_S)
        self._held_until = self._grown_at = max(now, self._not_before) + self._hold_s
        self._next = max(now, self._not_before)
        return True

    def _learn(self, now: float) -> None:
        begun = self._refused_at if self._refused_at is not None else self._first
        measured = max(1, self._accepted) / max(now - begun, 1e-3) if begun is not None else 1.0
        if self._per_second is None:
            self._per_second = measured
        elif self._accepted < _FEWEST:
            self._per_second *= _LEAST_KEPT
        else:
            least = _LEAST_KEPT if self._hold_s > _SURE_HOLD_S else 0.0
            self._per_second *= min(max(measured / self._per_second, least), _KEPT)

    def _grow(self, now: float) -> None:
        if self._next <= now:
            # The rate holds nothing back: that more would be accepted is not shown.
            self._grown_at = max(self._grown_at, now)
        elif self._per_second is not None and now > self._grown_at:
            growth = max(_LEAST_GROWTH, _GROWTH / max(1.0, self._hold_s))
            self._per_second *= 1 + growth * min(now - self._grown_at, 1.0)
            self._grown_at = now
