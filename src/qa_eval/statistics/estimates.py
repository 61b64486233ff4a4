"""What a statistic returns: an estimate with its interval, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

MIN_GROUPS = 8
"""The fewest effective groups that get an interval.

Two reasons. With 5 groups even the most extreme outcome of the sign-flip test has p = 2/2^5 = 0.0625. And in
simulations (scores of 0 and 1 and F1-like ones, groups of even to very uneven size, 2,500 repetitions each) the 95 %
interval covered the truth in 93.5 to 95.5 % of the cases in which it was given, from 8 effective groups on; with 5
to 8 it went down to 91.4 %, and up to a fifth of the samples gave none."""


class Limit(StrEnum):
    """Why there is no statement."""

    TOO_FEW_GROUPS = "too few groups"
    NO_VARIATION = "no variation"
    TOO_LITTLE_VARIATION = "too little variation"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval. All in the unit of the scores."""

    estimate: float
    """The mean over examples."""
    low: float | None
    high: float | None
    """The interval's ends; both None where the data cannot carry an interval, and `limit` says why."""
    standard_error: float | None
    """Cluster-robust; None for a single group."""
    n: int
    """Examples."""
    groups: int
    effective_groups: float
    """Groups of even size that would say as much: n^2 / sum of squared sizes (Kish, 1965, section 5.4)."""
    confidence: float
    method: str
    limit: Limit | None

    @property
    def reason(self) -> str | None:
        """One sentence on why there is no interval; None where there is one."""
        match self.limit:
            case Limit.TOO_FEW_GROUPS:
                even = math.floor(10 * self.effective_groups) / 10
                return (
                    f"No interval: {self.n} examples from {self.groups} groups say as much as {even:.1f} groups "
                    f"of even size, and it takes {MIN_GROUPS}."
                )
            case Limit.NO_VARIATION:
                return f"No interval: all {self.groups} groups have the same mean, so nothing shows how it varies."
            case Limit.TOO_LITTLE_VARIATION:
                return f"No interval: too few of the {self.groups} groups differ from the others."
            case _:
                return None
