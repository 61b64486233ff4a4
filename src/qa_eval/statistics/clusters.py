"""Scores summed by group: what is resampled, flipped and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_eval.errors import InputError
from qa_eval.statistics.estimates import MIN_GROUPS, Limit

_MAX_CLUSTERS = 2_000
CHUNK = 2_000_000
"""Resampled groups held at once: 32 MB."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Scores summed by group."""

    sums: Floats
    """(groups,)"""
    sizes: Floats
    """(groups,), examples."""

    @property
    def n(self) -> int:
        return int(self.sizes.sum())

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def effective(self) -> float:
        return float(self.sizes.sum() ** 2 / (self.sizes @ self.sizes))

    @property
    def residuals(self) -> Floats:
        """What each group's sum is off from what the mean makes of its size; rounding errors are 0."""
        residuals = self.sums - self.mean * self.sizes
        noise = 1e-12 * (np.abs(self.sums) + abs(self.mean) * self.sizes)
        return np.where(np.abs(residuals) <= noise, 0.0, residuals)

    @property
    def standard_error(self) -> float | None:
        """Linearised, with the small-sample factor 1 / (1 - 1/effective groups): G/(G-1) at even sizes."""
        if len(self.sums) < 2:
            return None
        residuals = self.residuals
        return float(math.sqrt(residuals @ residuals / (1.0 - 1.0 / self.effective)) / self.n)

    @property
    def limit(self) -> Limit | None:
        """What forbids a statement before any resampling."""
        if self.effective < MIN_GROUPS:
            return Limit.TOO_FEW_GROUPS
        return None if self.residuals.any() else Limit.NO_VARIATION

    def merged(self, seed: int) -> Clusters:
        """At most 2,000 random unions of groups: time and memory stay bounded, variances as they were."""
        if len(self.sums) <= _MAX_CLUSTERS:
            return self
        group = np.random.default_rng(seed).permutation(len(self.sums)) % _MAX_CLUSTERS
        return Clusters(_summed(group, self.sums), _summed(group, self.sizes))


def cluster(scores: npt.ArrayLike, groups: Sequence[str]) -> Clusters:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(groups):
        raise InputError(f"Give one group for each score: there are {values.size} scores and {len(groups)} groups.")
    if not len(values):
        raise InputError("There are no scores to speak of.")
    if not np.isfinite(values).all():
        raise InputError(f"Score {int(np.argmin(np.isfinite(values))) + 1} of {len(values)} is no finite number.")
    # Sorted by name, so that the order of the examples has no part in what is drawn.
    place = {group: index for index, group in enumerate(sorted(set(groups)))}
    codes = np.fromiter((place[group] for group in groups), dtype=np.intp, count=len(groups))
    return Clusters(_summed(codes, values), _summed(codes, np.ones(len(codes))))


def _summed(group: npt.NDArray[np.intp], values: Floats) -> Floats:
    return np.bincount(group, values).astype(np.float64, copy=False)


def paired_differences(baseline: npt.ArrayLike, candidate: npt.ArrayLike) -> Floats:
    first, second = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"A pair needs both scores: the baseline has {first.size}, the candidate {second.size}.")
    return second - first
