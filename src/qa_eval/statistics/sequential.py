"""A paired comparison that is looked at before all is asked, and may end there: a group-sequential design.

The looks are planned as numbers of groups, in random order; a group is one unit of information however many questions
it has. A look's statistic is the cluster-robust t of the paired difference, held against the boundary's own
two-sided level at its degrees of freedom, so that few groups do not raise the error rate. The repeated interval of
a look may be read at every look; the estimate at the end allows for the looks before it by the stage-wise ordering.
`benchmarks/stopping.py` measures false alarms, power, coverage and what is saved.

Source: Jennison and Turnbull, 2000, "Group Sequential Methods with Applications to Clinical Trials", sections 8.4
(stage-wise ordering), 9.1 (repeated confidence intervals) and 11.2 (t statistics by their levels).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from qa_eval.statistics.boundaries import Paths, boundaries
from qa_eval.statistics.clusters import Clusters, cluster, paired_differences
from qa_eval.statistics.estimates import MIN_GROUPS, Limit
from qa_eval.statistics.intervals import RESAMPLES
from qa_eval.statistics.paired import PairedDifference, sign_flip

_MANY = 100
"""So many effective groups need no other test than the t statistic."""
_RESOLVED = 1e-3
"""The smallest level that random sign patterns resolve; below it the t statistic speaks alone."""


class Decision(StrEnum):
    """What a look settles."""

    HIGHER = "higher"
    """The candidate scores higher than the baseline."""
    LOWER = "lower"
    EQUIVALENT = "equivalent"
    """Whatever difference there is, it is smaller than the one that matters."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a paired difference finds."""

    estimate: float
    """Candidate minus baseline, in the unit of the scores."""
    low: float | None
    high: float | None
    """The repeated confidence interval; both None where there is none yet."""
    crossed: bool
    """Whether the statistic is beyond the look's boundary."""

    def decide(self, margin: float) -> Decision | None:
        """What this look settles; None where it is open.

        Args:
            margin: The smallest difference that matters, in the unit of the scores.
        """
        if self.low is None or self.high is None:
            return None
        if self.crossed:
            return Decision.HIGHER if self.estimate > 0 else Decision.LOWER
        return Decision.EQUIVALENT if -margin < self.low and self.high < margin else None


class Tail(Protocol):
    """The probability of an outcome as high as the observed one."""

    def __call__(self, difference: float, observed: float | None = None) -> float:
        """
        Args:
            difference: Were it the true one.
            observed: The outcome as a standard normal, in place of the t statistic's.
        """
        ...


@dataclass(frozen=True)
class SequentialDesign:
    """When to look, and what it takes to end."""

    looks: tuple[int, ...]
    """Groups seen at each look, rising; the last look sees all."""
    alpha: float = 0.05
    """Error rate of both sides together, over all looks."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """What a score cannot leave."""

    @property
    def fractions(self) -> tuple[float, ...]:
        """The information at each look as a fraction of all."""
        return tuple(groups / self.looks[-1] for groups in self.looks)

    @property
    def limits(self) -> tuple[float, ...]:
        """What the standardised statistic must reach at each look."""
        return boundaries(self.fractions, self.alpha)

    def look(self, number: int, baseline: npt.ArrayLike, candidate: npt.ArrayLike, groups: Sequence[str]) -> Look:
        """Look at what is there.

        Args:
            number: Which look, counted from 1.
            baseline: shape (n,), finite: the scores of the groups up to this look.
            candidate: shape (n,), the same examples in the same order.
            groups: The group of each example, length n.

        Raises:
            InputError: There are no scores, one is not finite, or lengths differ.
        """
        clusters = cluster(paired_differences(baseline, candidate), groups)
        level = _level(self.limits[number - 1])
        if clusters.limit is Limit.TOO_FEW_GROUPS:
            return Look(clusters.mean, None, None, crossed=False)
        if clusters.limit is Limit.NO_VARIATION:
            low, high = self._without_variation(clusters, level)
        else:
            reach = _quantile(level, clusters.effective) * cast(float, clusters.standard_error)
            low, high = clusters.mean - reach, clusters.mean + reach
        return Look(clusters.mean, low, high, crossed=self._crosses(clusters, number))

    def estimate(
        self,
        number: int,
        baseline: npt.ArrayLike,
        candidate: npt.ArrayLike,
        groups: Sequence[str],
        *,
        confidence: float = 0.95,
    ) -> PairedDifference:
        """The difference at the look that was the last, its interval and p-value by the stage-wise ordering.

        An end before the last look at which no boundary was crossed is the least extreme outcome: its p-value is 1,
        so that ends without a difference cannot add to the error rate.

        Args:
            number: Which look was the last, counted from 1.
            baseline: shape (n,), finite: the scores of the groups up to this look, in the order of the looks.
            candidate: shape (n,), the same examples in the same order.
            groups: The group of each example, length n.
            confidence: The interval's nominal coverage.

        Raises:
            InputError: There are no scores, one is not finite, or lengths differ.
        """
        differences = paired_differences(baseline, candidate)
        clusters = cluster(differences, groups)
        low, high, p_value = self._inference(clusters, number, groups, 1 - confidence)
        method = f"stage-wise ordering of a group-sequential design, look {number} of {len(self.looks)}"
        return PairedDifference(
            estimate=clusters.mean,
            low=low,
            high=high,
            standard_error=clusters.standard_error,
            n=clusters.n,
            groups=len(clusters.sums),
            effective_groups=clusters.effective,
            confidence=confidence,
            method=method,
            limit=None if low is not None else clusters.limit,
            p_value=p_value,
            p_method=method,
            differing=int(np.count_nonzero(differences)),
        )

    def _inference(
        self, clusters: Clusters, number: int, groups: Sequence[str], alpha: float
    ) -> tuple[float | None, float | None, float]:
        """The ends of the interval, and the p-value of no difference."""
        if clusters.limit is Limit.TOO_FEW_GROUPS:
            return None, None, 1.0
        if clusters.limit is Limit.NO_VARIATION:
            low, high = self._without_variation(clusters, _level(self.limits[number - 1]))
            return low, high, self._same_by_chance(clusters)
        tail = self._upper_tail(clusters, number, _effective(groups, self.looks[:number]))
        low, high = (_where(tail, clusters, level) for level in (alpha / 2, 1 - alpha / 2))
        if number < len(self.looks) and not self._crosses(clusters, number):
            return low, high, 1.0
        extreme = _level_reached(clusters)
        p_value = 2 * tail(0.0, abs(float(special.ndtri(extreme / 2))))
        return low, high, min(1.0, p_value)

    def _crosses(self, clusters: Clusters, number: int) -> bool:
        """Whether the statistic is beyond the boundary."""
        level = _level(self.limits[number - 1])
        if clusters.limit is Limit.TOO_FEW_GROUPS:
            return False
        if clusters.limit is Limit.NO_VARIATION:
            return self._same_by_chance(clusters) < level
        return _level_reached(clusters, level) <= level

    def _upper_tail(self, clusters: Clusters, number: int, effective: Sequence[float]) -> Tail:
        """The probability, were a difference the true one, of an outcome as high as this in the stage-wise order.

        An event of the t statistic counts as the event of the standard normal that has the same probability.
        """
        fractions = self.fractions[:number]
        roots = [math.sqrt(fraction) for fraction in fractions]
        errors = [cast(float, clusters.standard_error) * roots[-1] / root for root in roots]
        reaches = [_quantile(_level(limit), groups) for limit, groups in zip(self.limits, effective, strict=False)]

        def probability(difference: float, observed: float | None = None) -> float:
            drift = difference / errors[-1] / roots[-1]
            paths, total = Paths.start(), 0.0

            def as_normal(t: float, place: int) -> float:
                shifted = special.stdtr(effective[place] - 1, t - difference / errors[place])
                return drift * roots[place] + float(special.ndtri(shifted))

            for place, fraction in enumerate(fractions[:-1]):
                if effective[place] < MIN_GROUPS:
                    continue
                low, high = as_normal(-reaches[place], place), as_normal(reaches[place], place)
                total += paths.above(fraction, high, drift)
                paths = paths.within(fraction, low, high, drift)
            if observed is None:
                observed = as_normal(clusters.mean / errors[-1], -1)
            return total + paths.above(fractions[-1], observed, drift)

        return probability

    def _without_variation(self, clusters: Clusters, level: float) -> tuple[float | None, float | None]:
        """The interval where all groups have the same mean: what differs may be in groups that were not seen.

        A share q of groups that differ stays unseen in all of g with probability (1 - q)^g; at most they lie at the
        other end of what a difference can be.
        """
        width = self.bounds[1] - self.bounds[0]
        if not math.isfinite(width):
            return None, None
        unseen = 1 - (level / 2) ** (1 / clusters.effective)
        return clusters.mean - unseen * (clusters.mean + width), clusters.mean + unseen * (width - clusters.mean)

    def _same_by_chance(self, clusters: Clusters) -> float:
        """The p-value of no difference where all groups have the same mean, from the same consideration."""
        width, size = self.bounds[1] - self.bounds[0], abs(clusters.mean)
        if not math.isfinite(width) or size == 0:
            return 1.0
        return float(min(1.0, 2 * (1 - size / (width + size)) ** clusters.effective))


def _level(limit: float) -> float:
    """The two-sided level of a limit of the standard normal."""
    return float(2 * special.ndtr(-limit))


def _quantile(level: float, effective: float) -> float:
    """What a t statistic of so many effective groups must reach at a two-sided level."""
    return -float(special.stdtrit(max(1.0, effective - 1), level / 2))


def _effective(groups: Sequence[str], looks: Sequence[int]) -> list[float]:
    """The effective groups of each look, from the groups in the order of the looks."""
    sizes = np.array(list(Counter(groups).values()), dtype=np.float64)
    return [float(sizes[:seen].sum() ** 2 / (sizes[:seen] @ sizes[:seen])) for seen in looks]


def _level_reached(clusters: Clusters, wanted: float = 1.0) -> float:
    """The two-sided level of a difference: the t statistic's, or the sign-flip test's, which holds for few groups.

    The larger one. The t statistic's stands where it is above `wanted` anyway, below what random patterns resolve, or
    that of many groups.
    """
    level = float(2 * special.stdtr(clusters.effective - 1, -abs(clusters.mean) / cast(float, clusters.standard_error)))
    if level > wanted or level < _RESOLVED or clusters.effective > _MANY:
        return level
    return max(level, sign_flip(clusters, RESAMPLES, 0)[0])


def _where(tail: Tail, clusters: Clusters, level: float) -> float:
    """The difference at which an outcome as high as this has the given probability."""
    error = cast(float, clusters.standard_error)
    reach = 4.0
    while not tail(clusters.mean - reach * error) < level < tail(clusters.mean + reach * error):
        reach *= 2
    ends = clusters.mean - reach * error, clusters.mean + reach * error
    return float(optimize.brentq(lambda difference: tail(difference) - level, *ends, xtol=1e-7 * error))


def planned_looks(groups: int, looks: int) -> tuple[int, ...]:
    """The groups seen at each look, evenly spaced; looks that could say nothing yet are left out.

    Args:
        groups: How many there are.
        looks: How many looks are wished for.
    """
    planned = {math.ceil(groups * number / looks) for number in range(1, looks + 1)}
    return tuple(sorted(each for each in planned if each >= MIN_GROUPS or each == groups))
