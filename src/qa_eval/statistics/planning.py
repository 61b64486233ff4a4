"""What a sample can show: detectable differences, and how many examples a difference needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy.typing as npt
from scipy import special

from qa_eval.errors import InputError
from qa_eval.statistics.clusters import Clusters, cluster, paired_differences
from qa_eval.statistics.estimates import MIN_GROUPS, Limit


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many examples show a difference of a wished size."""

    examples: int | None
    """None where that cannot be said or reached; `limit` says why."""
    groups: int | None
    """Groups that they come from."""
    limit: Limit | None


def minimum_detectable_difference(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    groups: Sequence[str],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float | None:
    """The true difference that these examples would show (two-sided test at `alpha`) with a chance of `power`.

    (t(1 - alpha/2) + t(power)) x the cluster-robust standard error of the paired difference, with one degree of
    freedom less than effective groups. It speaks of a new sample like this one; whether this one shows something
    is `paired_difference`'s to say. None where there are too few groups, or no variation.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.

    Source: Bloom, 1995, "Minimum Detectable Effects", doi:10.1177/0193841X9501900504; Miller, 2024,
    arXiv:2411.00640, section 5.
    """
    clusters = cluster(paired_differences(baseline, candidate), groups)
    if clusters.limit is not None:
        return None
    return _detection_factor(clusters.effective, power, alpha) * cast(float, clusters.standard_error)


def examples_needed(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    groups: Sequence[str],
    difference: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> SampleSize:
    """How many examples in all would show a true difference of this size, judged by the examples at hand.

    More examples are taken to come from more groups, as many from each as now: the standard error falls with the
    square root.

    Args:
        baseline: shape (n,), finite.
        candidate: shape (n,), the same examples in the same order.
        groups: the group of each example, length n.
        difference: the wished difference, not 0, in the unit of the scores.
        power: the chance to show it.
        alpha: of the two-sided test.

    Raises:
        InputError: there are no scores, one is not finite, lengths differ, or `difference` is 0.

    Source: Miller, 2024, arXiv:2411.00640, section 5.
    """
    if not difference:
        raise InputError("No number of examples shows a difference of 0: give the smallest one that matters.")
    clusters = cluster(paired_differences(baseline, candidate), groups)
    if clusters.limit is not None:
        return SampleSize(None, None, clusters.limit)
    return _with_new_groups(clusters, abs(difference), power, alpha)


def _detection_factor(effective: float, power: float, alpha: float) -> float:
    """Standard errors that a true difference must measure to be shown."""
    freedom = effective - 1
    return float(special.stdtrit(freedom, 1 - alpha / 2) + special.stdtrit(freedom, power))


def _with_new_groups(clusters: Clusters, difference: float, power: float, alpha: float) -> SampleSize:
    spread = cast(float, clusters.standard_error)
    growth = 1.0
    # More groups mean more degrees of freedom, so the size depends on itself; it settles in a few steps.
    for _ in range(20):
        effective = max(MIN_GROUPS, clusters.effective * growth)
        growth = (_detection_factor(effective, power, alpha) * spread / difference) ** 2
    growth = max(growth, MIN_GROUPS / clusters.effective)
    return SampleSize(math.ceil(clusters.n * growth), math.ceil(len(clusters.sums) * growth), None)
