"""A judge that errs: how often it does, and what its verdicts say of the true share once that is allowed for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qa_eval.errors import InputError
from qa_eval.statistics.clusters import Clusters, Floats, cluster
from qa_eval.statistics.estimates import Estimate, Limit
from qa_eval.statistics.intervals import RESAMPLES, share_interval, studentised

MIN_OVER_CHANCE = 0.5
"""Sensitivity plus specificity minus 1, from which on a judge's verdicts are corrected.

The correction divides by it, so that below 0.5 every error of the verdicts and of the calibration more than doubles.
A judge that is right on 75 % of the right answers and on 75 % of the wrong ones is just good enough."""

JEFFREYS = 0.5
"""By how much a count of successes and one of failures are raised where a share is drawn from what they say.

Draws from Beta(successes + 1/2, failures + 1/2) are Jeffreys' posterior; their quantiles are an interval that covers
about as often as it says, and errs about as often to either side. 50 of 50 still leave room for 0.95.

Source: Brown, Cai and DasGupta, 2001, doi:10.1214/ss/1009213286."""


@dataclass(frozen=True, slots=True)
class JudgeAccuracy:
    """What a judge said of answers of which it is known whether they are right.

    Raises:
        InputError: a count is negative, or more answers are judged well than there are.
    """

    right: int
    """Right answers shown to the judge."""
    said_right: int
    """Those of them that it called right."""
    wrong: int
    """Wrong answers shown to the judge."""
    said_wrong: int
    """Those of them that it called wrong."""

    def __post_init__(self) -> None:
        for said, shown, kind in ((self.said_right, self.right, "right"), (self.said_wrong, self.wrong, "wrong")):
            if not 0 <= said <= shown:
                raise InputError(f"A judge cannot have called {said} of {shown} {kind} answers {kind}.")

    @property
    def sensitivity(self) -> float | None:
        """The share of right answers that it calls right; None if it was shown none."""
        return self.said_right / self.right if self.right else None

    @property
    def specificity(self) -> float | None:
        """The share of wrong answers that it calls wrong; None if it was shown none."""
        return self.said_wrong / self.wrong if self.wrong else None

    @property
    def sensitivity_interval(self) -> tuple[float, float] | None:
        """The exact 95 % interval of the sensitivity."""
        return exact_interval(self.said_right, self.right) if self.right else None

    @property
    def specificity_interval(self) -> tuple[float, float] | None:
        """The exact 95 % interval of the specificity."""
        return exact_interval(self.said_wrong, self.wrong) if self.wrong else None

    @property
    def over_chance(self) -> float | None:
        """Sensitivity + specificity - 1: 1 for a judge that never errs, 0 for one that tosses a coin of any kind.

        Source: Youden, 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.
        """
        if self.sensitivity is None or self.specificity is None:
            return None
        return self.sensitivity + self.specificity - 1.0

    @property
    def can_tell(self) -> bool:
        """Whether it tells right from wrong well enough for its verdicts to be corrected (`MIN_OVER_CHANCE`)."""
        return self.over_chance is not None and self.over_chance >= MIN_OVER_CHANCE - 1e-12  # 0.8 + 0.7 - 1 counts

    @property
    def sentence(self) -> str:
        """Both shares with their intervals, and whether they are enough."""
        right = _told("sensitivity", self.sensitivity, self.sensitivity_interval, f"{self.right} right answers")
        wrong = _told("specificity", self.specificity, self.specificity_interval, f"{self.wrong} wrong ones")
        return f"{right}, {wrong}" + ("" if self.can_tell else ": this judge cannot tell right from wrong")

    def to_json(self) -> dict[str, Any]:
        """As JSON documents have it."""
        counts = ("right", "said_right", "wrong", "said_wrong")
        found = ("sensitivity", "sensitivity_interval", "specificity", "specificity_interval")
        return {name: getattr(self, name) for name in (*counts, *found, "over_chance", "can_tell")}


def exact_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval of a share of independent trials that covers at least as often as it says.

    Args:
        successes: 0 to n.
        n: trials, at least 1.
        confidence: the least coverage.

    Raises:
        InputError: there are no trials, or not 0 to n successes.

    Source: Clopper and Pearson, 1934, doi:10.1093/biomet/26.4.404.
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"A share needs at least 1 trial and no more successes than trials: {successes} of {n}.")
    return share_interval(successes / n, n, confidence=confidence)


def corrected_mean(
    scores: npt.ArrayLike,
    groups: Sequence[str],
    accuracy: JudgeAccuracy,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate | None:
    """The share of right answers, from verdicts of a judge whose errors are known from a calibration.

    The estimate is (mean + specificity - 1) / (sensitivity + specificity - 1), cut at 0 and 1. It holds if the judge
    errs on these answers as often as on those of the calibration, which were drawn independently of them.

    The interval has both errors, that of the sample and that of the calibration: the verdicts' mean is drawn from its
    studentised cluster bootstrap over groups (mean - pivot x standard error), sensitivity and specificity each from
    Beta(successes + 1/2, failures + 1/2), and the ends are quantiles of what the formula makes of the draws. Where the
    verdicts vary too little for the bootstrap, their mean is drawn from the two distributions whose quantiles are the
    ends of `share_interval`, with each group for a single question: wide rather than short. Where the estimate
    has to be cut, the interval moves as far before it is cut, so that it cannot shrink to a point.

    Coverage of the 95 % interval, simulated with two judges, 50 planted answers of each kind, and 100 to 1,000
    questions in 20 and in 48 groups: 94.8 to 96.5 % (`benchmarks/judges.py`). With 10 or 20 planted ones, and for means
    near 0 or 1, it is wider than needed (up to 100 %).

    Args:
        scores: shape (n,), the verdicts: 1 right, 0 wrong, or means over repetitions of the same question.
        groups: the group of each verdict, length n.
        accuracy: of the judge.
        confidence: the interval's nominal coverage.
        resamples: bootstrap resamples, and draws of the calibration.
        seed: of both.

    Returns:
        None if the judge cannot tell right from wrong; no interval for too few groups.

    Raises:
        InputError: there are no scores, one is not within 0 to 1, or lengths differ.

    Source: Rogan and Gladen, 1978, doi:10.1093/oxfordjournals.aje.a112510; Lang and Reiczigel, 2014,
    doi:10.1016/j.prevetmed.2013.09.015 (both errors, and raised counts for the calibration's); Brown, Cai
    and DasGupta, 2001, doi:10.1214/ss/1009213286 (by how much).
    """
    clusters = cluster(scores, groups)
    values = np.asarray(scores, dtype=np.float64)
    if values.min() < 0 or values.max() > 1:
        raise InputError(f"Verdicts are from 0 to 1, and these are from {values.min():g} to {values.max():g}.")
    sensitivity, specificity = accuracy.sensitivity, accuracy.specificity
    if sensitivity is None or specificity is None or not accuracy.can_tell:
        return None
    plain = (clusters.mean + specificity - 1) / (sensitivity + specificity - 1)
    estimate = min(1.0, max(0.0, plain))
    low = high = None
    limit = Limit.TOO_FEW_GROUPS if clusters.limit is Limit.TOO_FEW_GROUPS else None
    method = "Rogan-Gladen"
    if limit is None:
        alpha = 1.0 - confidence
        lower, upper, way = _means(clusters, alpha, resamples, seed)
        rng = np.random.default_rng([seed, 1])
        sensitive = _shares(accuracy.said_right, accuracy.right, resamples, rng)
        specific = _shares(accuracy.said_wrong, accuracy.wrong, resamples, rng)
        # Draws of a judge that cannot tell say nothing: their quotients go far off, whichever way.
        told = np.maximum(sensitive + specific - 1, 1e-9)
        ends = [
            float(np.quantile((means + specific - 1) / told, share, method="inverted_cdf"))
            for means, share in ((lower, alpha / 2), (upper, 1 - alpha / 2))
        ]
        off = plain - estimate
        low = min(estimate, max(0.0, ends[0] - max(0.0, off)))
        high = max(estimate, min(1.0, ends[1] - min(0.0, off)))
        method = f"Rogan-Gladen, {way}, calibration drawn from Beta distributions, {resamples:,} draws, seed {seed}"
    return Estimate(
        estimate=estimate,
        low=low,
        high=high,
        standard_error=_standard_error(clusters, accuracy, estimate),
        n=clusters.n,
        groups=len(clusters.sums),
        effective_groups=clusters.effective,
        confidence=confidence,
        method=method,
        limit=limit,
    )


def _means(clusters: Clusters, alpha: float, resamples: int, seed: int) -> tuple[Floats, Floats, str]:
    """(resamples,) each: draws of the verdicts' mean for the lower and the upper end, and how they were drawn."""
    if clusters.limit is None:
        pivots = studentised(clusters.merged(seed), resamples, seed)
        if np.isfinite(np.quantile(pivots, [alpha / 2, 1 - alpha / 2], method="inverted_cdf")).all():
            spread = clusters.standard_error
            assert spread is not None  # there are enough groups
            means = clusters.mean - pivots * spread
            return means, means, "studentised cluster bootstrap over groups"
    rng = np.random.default_rng(seed)
    successes = clusters.mean * clusters.effective
    failures = clusters.effective - successes
    lower = rng.beta(successes, failures + 1, resamples) if successes > 0 else np.zeros(resamples)
    upper = rng.beta(successes + 1, failures, resamples) if failures > 0 else np.ones(resamples)
    return lower, upper, "exact share of groups"


def _shares(successes: int, n: int, resamples: int, rng: np.random.Generator) -> Floats:
    return rng.beta(successes + JEFFREYS, n - successes + JEFFREYS, resamples)


def _standard_error(clusters: Clusters, accuracy: JudgeAccuracy, estimate: float) -> float | None:
    """By the delta method, with the variances of the Beta distributions for the calibration's."""
    if clusters.standard_error is None or accuracy.over_chance is None:
        return None
    variance = clusters.standard_error**2
    variance += estimate**2 * _variance(accuracy.said_right, accuracy.right)
    variance += (1 - estimate) ** 2 * _variance(accuracy.said_wrong, accuracy.wrong)
    return math.sqrt(variance) / accuracy.over_chance


def _variance(successes: int, n: int) -> float:
    total = n + 2 * JEFFREYS
    mean = (successes + JEFFREYS) / total
    return mean * (1 - mean) / (total + 1)


def _told(name: str, share: float | None, interval: tuple[float, float] | None, answers: str) -> str:
    if share is None or interval is None:
        return f"no {name} without planted answers"
    return f"{name} {share:.2f} ({interval[0]:.2f} to {interval[1]:.2f}) on {answers}"
