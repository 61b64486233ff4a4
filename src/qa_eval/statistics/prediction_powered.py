"""Many values of a judge and a few of people: the mean that people would have found, with its interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from qa_eval.errors import InputError
from qa_eval.statistics.clusters import CHUNK, Floats, cluster
from qa_eval.statistics.estimates import MIN_GROUPS, Estimate, Limit
from qa_eval.statistics.intervals import RESAMPLES
from qa_eval.statistics.misclassification import JEFFREYS

MIN_LABELS = 10
"""The fewest labels of people that are of any use."""
_MIN_STRATUM = 2
_MAX_STRATA = 5
_MAX_GROUPS = 2_000


def prediction_powered_mean(
    judged: npt.ArrayLike,
    groups: Sequence[str],
    labels: Mapping[int, float],
    strata: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """The mean that people would give all answers, from a judge's value of each and people's of a few drawn at random.

    The estimate is the mean of the pseudo-values z = f + m + (labelled) (y - f - m) / p: f is the judge's value, y
    people's, m the mean of y - f over the labelled answers of the stratum, and p the share of its answers that are
    labelled. It takes nothing for granted of the judge: a poor one makes the interval wide, not wrong.

    The interval is a weighted cluster bootstrap: its ends are quantiles of the estimate under random weights. Each
    group, with all its answers and labels, has a Gamma-distributed weight of mean 1; its variance is 1 times what
    few groups need, (t quantile / normal quantile)^2 / (1 - 1 / effective groups). To the labels of each stratum come
    two more, at either end of the scale, of which each weighs Gamma(1/2). For labels of 0 and 1 in groups of their own
    this draws their mean from Beta(ones + 1/2, zeros + 1/2), so that judge and people who never differ keep an
    uncertainty; the standard error of the pseudo-values takes it for 0.

    Coverage of the 95 % interval, simulated with two judges, 30, 50 and 100 labels, and 100 to 1,000 questions in 20
    and in 48 groups: 93.7 to 96.6 % (`benchmarks/judges.py`). Values that seldom reach the scale's ends get wider
    intervals than needed (up to 99 % at 30 labels). A studentised bootstrap of the pseudo-values goes down to 90 % at
    30 labels: many samples have none of the judge's rarer errors.

    Strata with fewer than 2 labels are taken for a single one. If even that has no label, the estimate takes the mean
    of y - f over all labels for it, and the interval leaves its mean anywhere on the scale.

    Args:
        judged: shape (n,), the judge's values.
        groups: the group of each answer, length n.
        labels: people's value for the answers at these positions, 0 to n - 1; drawn at random within each stratum.
        strata: what the labels were drawn by, such as the judge's verdict; length n. None: drawn from all answers
            alike; then the judge's values are the strata, if there are no more than 5.
        confidence: the interval's nominal coverage.
        resamples: sets of random weights.
        seed: of the weights.
        bounds: the scale's ends, which no value exceeds; for an infinite one, the outermost value that occurs.

    Returns:
        The estimate, without an interval where groups are too few or all values are the same and the scale is open.
        Its standard error is that of the pseudo-values.

    Raises:
        InputError: there are no answers, or fewer than 10 labels; a value is not finite or exceeds the bounds; a
            label is of no answer; lengths differ.

    Source: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, 2023, "Prediction-Powered Inference", Science 382,
    doi:10.1126/science.adi6000; Rubin, 1981, doi:10.1214/aos/1176345338 (random weights); Brown, Cai and
    DasGupta, 2001, doi:10.1214/ss/1009213286 (1/2).
    """
    sample = _Sample.of(judged, groups, labels, strata, bounds)
    low = high = limit = None
    clusters = cluster(sample.pseudo_values(), groups)
    estimate = min(sample.bounds[1], max(sample.bounds[0], clusters.mean))
    if clusters.effective < MIN_GROUPS:
        limit = Limit.TOO_FEW_GROUPS
    elif sample.bounds[0] == sample.bounds[1]:
        limit = Limit.NO_VARIATION
    else:
        draws = _draws(sample, _few_groups(clusters.effective, confidence), resamples, seed)
        ends = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
        low, high = min(estimate, float(ends[0])), max(estimate, float(ends[1]))
    return Estimate(
        estimate=estimate,
        low=low,
        high=high,
        standard_error=clusters.standard_error,
        n=clusters.n,
        groups=len(clusters.sums),
        effective_groups=clusters.effective,
        confidence=confidence,
        method=f"prediction-powered by {len(labels):,} labels, weighted cluster bootstrap over groups, "
        f"{resamples:,} sets of weights, seed {seed}",
        limit=limit,
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """The answers, checked."""

    judged: Floats
    """(n,)."""
    group: npt.NDArray[np.intp]
    """(n,), the number of each answer's group, by name."""
    people: Floats
    """(n,), 0 where there is no label."""
    labelled: Floats
    """(n,), 1 where there is a label, else 0."""
    strata: tuple[Floats, ...]
    """(n,) each: 1 for the answers of the stratum, else 0."""
    bounds: tuple[float, float]

    @classmethod
    def of(
        cls,
        judged: npt.ArrayLike,
        groups: Sequence[str],
        labels: Mapping[int, float],
        strata: Sequence[str] | None,
        bounds: tuple[float, float],
    ) -> _Sample:
        n = cluster(judged, groups).n
        values = np.asarray(judged, dtype=np.float64)
        names = _values_as_strata(values) if strata is None else np.asarray(strata, dtype=np.str_)
        if len(names) != n:
            raise InputError(f"Give one stratum for each answer: there are {n} answers and {len(names)} strata.")
        if len(labels) < MIN_LABELS:
            raise InputError(f"There are {len(labels)} labels, and a mean by people takes {MIN_LABELS}: label more.")
        strange = next((place for place in labels if not 0 <= place < n), None)
        if strange is not None:
            raise InputError(f"There is a label for answer {strange} of 0 to {n - 1}.")
        places, given = np.array(list(labels)), np.array(list(labels.values()), dtype=np.float64)
        people, labelled = np.zeros(n), np.zeros(n)
        people[places], labelled[places] = given, 1.0
        every = np.concatenate([values, given])
        off = every[~((every >= bounds[0]) & (every <= bounds[1]) & np.isfinite(every))]
        if len(off):
            raise InputError(f"The value {off[0]:g} is not on the scale of {bounds[0]:g} to {bounds[1]:g}.")
        low, high = (
            own if math.isfinite(own) else float(seen)
            for own, seen in zip(bounds, (every.min(), every.max()), strict=True)
        )
        # By name, so that the order of the answers has no part in what is drawn.
        group = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1]
        return cls(values, group, people, labelled, _strata(names, labelled), (low, high))

    def pseudo_values(self) -> Floats:
        """(n,): their mean is the estimate."""
        residuals = self.labelled * (self.people - self.judged)
        every = residuals.sum() / self.labelled.sum()
        pseudo = self.judged.copy()
        for stratum in self.strata:
            count = float(stratum @ self.labelled)
            mean = float(stratum @ residuals) / count if count else every
            # A mean of n values is fitted to them: their squares are too small by (n - 1) / n.
            wide = math.sqrt(count / (count - 1)) if count > 1 else 1.0
            share = count / stratum.sum() if count else 1.0
            pseudo += stratum * (mean + wide * self.labelled * (residuals - mean) / share)
        return pseudo

    def moments(self) -> Floats:
        """(groups, strata, 4): answers, the sum of their judged values, labels, and the sum of their residuals."""
        residuals = self.labelled * (self.people - self.judged)
        columns = [
            stratum * values
            for stratum in self.strata
            for values in (np.ones_like(residuals), self.judged, self.labelled, residuals)
        ]
        sums = np.column_stack([np.bincount(self.group, column) for column in columns]).astype(np.float64, copy=False)
        return sums.reshape(-1, len(self.strata), 4)


def _values_as_strata(values: Floats) -> npt.NDArray[np.str_]:
    """Labels drawn at random from all answers are at random within each of the judge's values, too."""
    codes = np.unique(values, return_inverse=True)[1]
    return (codes if codes.max() < _MAX_STRATA else np.zeros_like(codes)).astype(np.str_)


def _strata(names: npt.NDArray[np.str_], labelled: Floats) -> tuple[Floats, ...]:
    """Each stratum's indicator, in order of their names; those with fewer than 2 labels together come last."""
    counts = Counter(names[labelled > 0].tolist())
    large = [name for name in sorted(set(names.tolist())) if counts[name] >= _MIN_STRATUM]
    strata = [(names == name).astype(np.float64) for name in large]
    rest = (~np.isin(names, large)).astype(np.float64)
    return (*strata, rest) if rest.any() else tuple(strata)


def _few_groups(effective: float, confidence: float) -> float:
    """The variance of a group's weight: 1 for many groups."""
    upper = (1 + confidence) / 2
    wider = float(special.stdtrit(effective - 1, upper)) / float(special.ndtri(upper))
    return wider**2 / (1 - 1 / effective)


def _draws(sample: _Sample, variance: float, resamples: int, seed: int) -> Floats:
    """(resamples,): the estimate under random weights, in chunks of bounded memory."""
    rng = np.random.default_rng(seed)
    moments = _merged(sample.moments(), rng)
    rows = max(1, CHUNK // len(moments))
    chunks = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return np.concatenate([_weighted(moments, sample.bounds, variance, height, rng) for height in chunks])


def _weighted(
    moments: Floats, bounds: tuple[float, float], variance: float, resamples: int, rng: np.random.Generator
) -> Floats:
    weights = rng.gamma(1 / variance, variance, (resamples, len(moments)))
    sums = np.tensordot(weights, moments, axes=1)
    answers, judged, labels, residuals = np.moveaxis(sums, -1, 0)
    at_low, at_high = rng.standard_gamma(JEFFREYS, (2, *answers.shape))
    judged_mean = judged / answers
    # What the mean residual can be at most and at least, for a mean of people's values within the bounds.
    residuals += at_low * (bounds[0] - judged_mean) + at_high * (bounds[1] - judged_mean)
    means = np.clip(judged_mean + residuals / (labels + at_low + at_high), *bounds)
    return np.asarray((answers * means).sum(axis=1) / answers.sum(axis=1))


def _merged(moments: Floats, rng: np.random.Generator) -> Floats:
    """At most 2,000 random unions of groups: time stays bounded, variances as they were."""
    if len(moments) <= _MAX_GROUPS:
        return moments
    merged = np.zeros((_MAX_GROUPS, *moments.shape[1:]))
    np.add.at(merged, rng.permutation(len(moments)) % _MAX_GROUPS, moments)
    return merged
