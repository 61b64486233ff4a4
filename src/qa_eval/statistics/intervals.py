"""Intervals of means: the studentised cluster bootstrap, and an exact one where that has none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import special

from qa_eval.statistics.clusters import CHUNK, Clusters, Floats, cluster
from qa_eval.statistics.estimates import Estimate, Limit

RESAMPLES = 10_000


def mean_interval(
    scores: npt.ArrayLike,
    groups: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """The mean of `scores` with an equal-tailed studentised cluster bootstrap interval over groups.

    The mean is the ratio of the groups' summed scores to their summed sizes. Each resample draws as many groups
    as there are, with replacement, and is studentised with its own standard error; a resample in which all groups
    have the same mean counts as infinitely far away, so that too many of them leave no interval instead of a short
    one. More than 2,000 groups are first merged at random into 2,000, which are as independent as they
    were (random groups: Wolter, 2007, chapter 2).

    Coverage of the 95 % interval, simulated with groups of uneven size (lognormal, standard deviation of the
    logarithm 0.6; the development set's is 0.47): 93 to 97 % at 20, 48 and 300 groups, for scores of 0 and 1 and for
    F1-like ones (tests/statistics); a percentile bootstrap has 91 to 92 % at 20 groups, a t-interval
    93 to 94 %. Means near 0 or 1 with few questions an group get wider intervals than needed (98 %), or none.

    Args:
        scores: shape (n,), finite.
        groups: the group of each score, length n.
        confidence: the interval's nominal coverage.
        resamples: bootstrap resamples.
        seed: of the resampling.
        bounds: what the mean cannot leave, such as (0, 1); the interval is cut there.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.

    Source: Efron and Tibshirani, 1993, "An Introduction to the Bootstrap", section 12.5 (bootstrap-t); Davison and
    Hinkley, 1997, "Bootstrap Methods and their Application", section 3.8 (whole clusters are resampled); Cameron,
    Gelbach and Miller, 2008, doi:10.1162/rest.90.3.414 (few clusters: studentise).
    """
    clusters = cluster(scores, groups)
    low, high, limit = _interval(clusters, 1.0 - confidence, resamples, seed)
    return Estimate(
        estimate=clusters.mean,
        low=None if low is None else max(low, bounds[0]),
        high=None if high is None else min(high, bounds[1]),
        standard_error=clusters.standard_error,
        n=clusters.n,
        groups=len(clusters.sums),
        effective_groups=clusters.effective,
        confidence=confidence,
        method=f"studentised cluster bootstrap over groups, {resamples:,} resamples, seed {seed}",
        limit=limit,
    )


def share_interval(mean: float, groups: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """An interval for the mean of scores of 0 to 1 that holds where the bootstrap has none, because it is wide.

    The exact binomial interval, with each group taken for a single question: as if all questions of an group
    always agreed. 25 groups without a single failure leave room for a share of 0.86.

    Args:
        mean: of the scores, 0 to 1.
        groups: effective groups.
        confidence: the interval's nominal coverage.

    Source: Clopper and Pearson, 1934, doi:10.1093/biomet/26.4.404; the effective number in place of the sample's
    is Korn and Graubard's (1998, Survey Methodology 24), here at its smallest.
    """
    alpha = 1.0 - confidence
    successes = mean * groups
    low = special.betaincinv(successes, groups - successes + 1, alpha / 2) if successes > 0 else 0.0
    high = special.betaincinv(successes + 1, groups - successes, 1 - alpha / 2) if successes < groups else 1.0
    return float(low), float(high)


def _interval(
    clusters: Clusters, alpha: float, resamples: int, seed: int
) -> tuple[float | None, float | None, Limit | None]:
    if clusters.limit is not None:
        return None, None, clusters.limit
    pivots = studentised(clusters.merged(seed), resamples, seed)
    lower, upper = np.quantile(pivots, [alpha / 2, 1 - alpha / 2], method="inverted_cdf")
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return None, None, Limit.TOO_LITTLE_VARIATION
    spread = cast(float, clusters.standard_error)
    return float(clusters.mean - upper * spread), float(clusters.mean - lower * spread), None


def studentised(clusters: Clusters, resamples: int, seed: int) -> Floats:
    """(resamples,): how far each resample's mean is off, in its own standard errors."""
    residuals, sizes = clusters.residuals, clusters.sizes
    moments = np.column_stack([residuals, sizes, residuals**2, residuals * sizes, sizes**2])
    off, size, squares, products, squared_sizes = _resampled_sums(moments, resamples, seed)
    shift = off / size
    variance = squares - 2 * shift * products + shift**2 * squared_sizes
    small_sample = 1 - squared_sizes / size**2
    same = (variance <= 1e-10 * squares) | (small_sample <= 1e-10)
    with np.errstate(divide="ignore", invalid="ignore"):
        pivots = off / np.sqrt(variance / small_sample)
        return np.where(same, np.where(off == 0, 0.0, np.sign(off) * np.inf), pivots)


def _resampled_sums(moments: Floats, resamples: int, seed: int) -> Floats:
    """(moments, resamples): column sums over groups drawn with replacement, in chunks of bounded memory."""
    rng = np.random.default_rng(seed)
    groups = len(moments)
    rows = max(1, CHUNK // groups)
    sums = []
    for start in range(0, resamples, rows):
        height = min(rows, resamples - start)
        drawn = rng.integers(groups, size=(height, groups))
        drawn += np.arange(height)[:, None] * groups
        counts = np.bincount(drawn.ravel(), minlength=height * groups).reshape(height, groups)
        sums.append(counts @ moments)
    return np.concatenate(sums).T
