"""Two systems on the same examples: the difference, its interval, and a sign-flip permutation test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_eval.statistics.clusters import CHUNK, Clusters, Floats, cluster, paired_differences
from qa_eval.statistics.estimates import Estimate
from qa_eval.statistics.intervals import RESAMPLES, mean_interval


@dataclass(frozen=True, slots=True)
class PairedDifference(Estimate):
    """Candidate minus baseline on the same examples, with its interval and test."""

    p_value: float
    """Two-sided; under the hypothesis that swapping the two runs on a group changes nothing."""
    p_method: str
    differing: int
    """Examples on which the two scores differ."""


def paired_difference(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    groups: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """The mean of candidate minus baseline on the same examples, its interval, and a p-value.

    The interval is `mean_interval` of the differences. The p-value is that of a sign-flip permutation test: if the
    runs were interchangeable, each group's summed difference could as well have the other sign. All sign patterns
    are enumerated where there are no more of them than `resamples` (13 groups that differ, at 10,000), else
    `resamples` random ones are drawn, and the observed one counts among them. It is valid for any number of
    groups, but below 6 that differ it cannot fall under 0.05.

    Args:
        baseline: shape (n,), finite.
        candidate: shape (n,), the same examples in the same order.
        groups: the group of each example, length n.
        confidence: the interval's nominal coverage.
        resamples: of the bootstrap, and sign patterns of the test.
        seed: of both.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.

    Source: Fisher, 1935, "The Design of Experiments", section 21; Canay, Romano and Shaikh, 2017,
    doi:10.3982/ECTA13081 (sign changes of clusters); Phipson and Smyth, 2010, doi:10.2202/1544-6115.1585 (p-values of
    random permutations are never 0).
    """
    differences = paired_differences(baseline, candidate)
    interval = mean_interval(differences, groups, confidence=confidence, resamples=resamples, seed=seed)
    p_value, p_method = sign_flip(cluster(differences, groups), resamples, seed)
    return PairedDifference(
        **{name: getattr(interval, name) for name in Estimate.__slots__},
        p_value=p_value,
        p_method=p_method,
        differing=int(np.count_nonzero(differences)),
    )


def offset_p_value(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    groups: Sequence[str],
    offset: float,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """The two-sided p-value of the hypothesis that candidate minus baseline is `offset` on average.

    The sign-flip test of `paired_difference`, about `offset` in place of 0. It speaks where groups hardly vary and
    the bootstrap therefore has no interval.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.
    """
    differences = paired_differences(baseline, candidate) - offset
    return sign_flip(cluster(differences, groups), resamples, seed)[0]


def sign_flip(clusters: Clusters, resamples: int, seed: int) -> tuple[float, str]:
    """The two-sided p-value of the groups' summed differences, and how it was found."""
    from scipy.stats import permutation_test  # a second to load, and intervals alone do not need it

    clusters = clusters.merged(seed)
    differ = clusters.sums != 0
    sums, sizes = clusters.sums[differ], clusters.sizes[differ]
    if len(sums) < 2:
        return 1.0, f"sign-flip permutation over groups, {len(sums)} of which differ"

    def statistic(flipped: Floats, axis: int = -1) -> Floats:
        return _bounded_t(flipped.sum(axis=axis), (flipped * sizes).sum(axis=axis), clusters)

    patterns = 2 ** len(sums)
    test = permutation_test(
        (sums,),
        statistic,
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, CHUNK // len(sums)),
        rng=np.random.default_rng(seed),
    )
    if patterns <= resamples:
        return float(test.pvalue), f"sign-flip permutation over groups, all {patterns:,} patterns"
    return float(test.pvalue), f"sign-flip permutation over groups, {resamples:,} random patterns, seed {seed}"


def _bounded_t(total: Floats, weighted: Floats, clusters: Clusters) -> Floats:
    """The squared cluster-robust t as t^2 / (1 + t^2), from a pattern's sums of differences and differences x sizes.

    Rounded, so that patterns that tie with the observed one count, whatever their last digit.
    """
    mean = total / clusters.sizes.sum()
    squares, squared_sizes = clusters.sums @ clusters.sums, clusters.sizes @ clusters.sizes
    variance = squares - 2 * mean * weighted + mean**2 * squared_sizes
    variance = np.where(variance <= 1e-12 * squares, 0.0, variance)
    with np.errstate(invalid="ignore"):
        bounded: Floats = np.where(total == 0, 0.0, total**2 / (total**2 + variance))
    return bounded.round(9)
