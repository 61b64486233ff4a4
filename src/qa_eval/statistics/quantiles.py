"""Quantiles of measurements, such as latencies, with their percentile cluster bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_eval.errors import InputError
from qa_eval.statistics.clusters import CHUNK, Floats, cluster
from qa_eval.statistics.estimates import MIN_GROUPS, Estimate, Limit

_RESAMPLES = 2_000
"""Each sorts nothing, but looks at every value."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of one run with the group of each; any number an group."""

    values: Floats
    """(n,), finite."""
    groups: tuple[str, ...]
    """Length n."""


def quantile(values: npt.ArrayLike, share: float) -> float:
    """The nearest-rank quantile, as the tables of a run have it."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def quantile_interval(sample: Sample, share: float, *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """A quantile with its percentile cluster bootstrap interval over groups. In the unit of the values.

    Raises:
        InputError: there are no values, or one is not finite.

    Source: Davison and Hinkley, 1997, sections 2.7 (quantiles) and 3.8 (clusters); Efron and Tibshirani, 1993,
    section 13.3 (percentile interval).
    """
    resampled = _resampled_quantiles([sample], share, seed)[0]
    return _of_quantiles(quantile(sample.values, share), resampled, sample, confidence, seed)


def quantile_difference(
    baseline: Sample, candidate: Sample, share: float, *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """The candidate's quantile minus the baseline's, with its percentile cluster bootstrap interval.

    Both are resampled by the same groups, so that what makes an group slow for both cancels.

    Raises:
        InputError: there are no values, one is not finite, or the two are not about the same groups.

    Source: as for `quantile_interval`.
    """
    if set(baseline.groups) != set(candidate.groups):
        raise InputError("Quantiles are compared on the same groups: give measurements of the same examples.")
    first, second = _resampled_quantiles([baseline, candidate], share, seed)
    estimate = quantile(candidate.values, share) - quantile(baseline.values, share)
    return _of_quantiles(estimate, second - first, candidate, confidence, seed)


def _of_quantiles(estimate: float, resampled: Floats, sample: Sample, confidence: float, seed: int) -> Estimate:
    clusters = cluster(sample.values, sample.groups)
    limit = Limit.TOO_FEW_GROUPS if clusters.effective < MIN_GROUPS else None
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return Estimate(
        estimate=estimate,
        low=None if limit else float(low),
        high=None if limit else float(high),
        standard_error=float(np.std(resampled)),
        n=clusters.n,
        groups=len(clusters.sums),
        effective_groups=clusters.effective,
        confidence=confidence,
        method=f"percentile cluster bootstrap over groups, {len(resampled):,} resamples, seed {seed}",
        limit=limit,
    )


def _resampled_quantiles(samples: Sequence[Sample], share: float, seed: int) -> list[Floats]:
    """(resamples,) for each sample: its quantile when groups are drawn with replacement, the same for all samples."""
    place = {group: index for index, group in enumerate(sorted(set(samples[0].groups)))}
    largest = max(len(sample.values) for sample in samples)
    rows = max(1, CHUNK // largest)
    rng = np.random.default_rng(seed)
    sorters = [_sorted_by_value(sample, place) for sample in samples]
    found: list[list[Floats]] = [[] for _ in samples]
    for start in range(0, _RESAMPLES, rows):
        counts = rng.multinomial(len(place), np.full(len(place), 1 / len(place)), size=min(rows, _RESAMPLES - start))
        for (values, codes), collected in zip(sorters, found, strict=True):
            reached = np.cumsum(counts[:, codes], axis=1)
            # Nearest rank: the first value that more than `share` of the drawn ones do not exceed.
            above = reached > np.floor(share * reached[:, -1:])
            collected.append(values[np.where(above.any(axis=1), above.argmax(axis=1), len(values) - 1)])
    return [np.concatenate(each) for each in found]


def _sorted_by_value(sample: Sample, place: dict[str, int]) -> tuple[Floats, npt.NDArray[np.intp]]:
    """The values in order, and the number of each one's group."""
    cluster(sample.values, sample.groups)  # refuses what is empty or not finite
    values = np.asarray(sample.values, dtype=np.float64)
    codes = np.fromiter((place[group] for group in sample.groups), dtype=np.intp, count=len(values))
    order = np.argsort(values, kind="stable")
    return values[order], codes[order]
