"""What scores allow to say: intervals, paired tests, and how many questions a claim needs.

In: scores (any real numbers: exact match, F1, seconds) and the article of each. Out: frozen dataclasses. Pure and
seeded: the same input gives the same output, in whatever order the articles come.

Questions about one article share its vocabulary, its difficulty and its author, so scores within an article are
alike, and an interval that takes them for independent is too narrow. Here the article is what is resampled, what
is flipped, and what is counted (Miller, 2024, "Adding Error Bars to Evals", arXiv:2411.00640, section 2.2).

Where the data cannot carry a statement, there is none: the interval's ends are None and `limit` says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import special

from qa_eval.errors import InputError

RESAMPLES = 10_000

MIN_ARTICLES = 8
"""The fewest effective articles that get an interval.

Two reasons. With 5 articles even the most extreme outcome of the sign-flip test has p = 2/2^5 = 0.0625. And in
simulations (scores of 0 and 1 and F1-like ones, articles of even to very uneven size, 2,500 repetitions each) the 95 %
interval covered the truth in 93.5 to 95.5 % of the cases in which it was given, from 8 effective articles on; with 5
to 8 it went down to 91.4 %, and up to a fifth of the samples gave none."""

PLANNING_CORRELATION = 0.01
"""Correlation, within an article, of the difference between two systems; used for planning only.

Measured with the published predictions of a BERT ensemble and the logistic-regression baseline on SQuAD v1.1's
development set (48 articles, 10,570 questions; one-way analysis of variance): 0.006 for exact match, 0.010 for
F1. A small sample cannot estimate it: with 100 questions from 48 articles its standard error is over 0.1."""

_MAX_GROUPS = 2_000
_QUANTILE_RESAMPLES = 2_000  # each sorts nothing, but looks at every value
_CHUNK = 2_000_000  # resampled articles held at once: 32 MB

_Floats = npt.NDArray[np.float64]


class Limit(StrEnum):
    """Why there is no statement."""

    TOO_FEW_ARTICLES = "too few articles"
    NO_VARIATION = "no variation"
    TOO_LITTLE_VARIATION = "too little variation"
    MORE_ARTICLES_NEEDED = "more articles needed"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval. All in the unit of the scores."""

    estimate: float
    """The mean over examples."""
    low: float | None
    high: float | None
    """The interval's ends; both None where the data cannot carry an interval, and `limit` says why."""
    standard_error: float | None
    """Cluster-robust; None for a single article."""
    n: int
    """Examples."""
    articles: int
    effective_articles: float
    """Articles of even size that would say as much: n^2 / sum of squared sizes (Kish, 1965, section 5.4)."""
    confidence: float
    method: str
    limit: Limit | None

    @property
    def reason(self) -> str | None:
        """One sentence on why there is no interval; None where there is one."""
        match self.limit:
            case Limit.TOO_FEW_ARTICLES:
                even = math.floor(10 * self.effective_articles) / 10
                return (
                    f"No interval: {self.n} examples from {self.articles} articles say as much as {even:.1f} articles "
                    f"of even size, and it takes {MIN_ARTICLES}."
                )
            case Limit.NO_VARIATION:
                return f"No interval: all {self.articles} articles have the same mean, so nothing shows how it varies."
            case Limit.TOO_LITTLE_VARIATION:
                return f"No interval: too few of the {self.articles} articles differ from the others."
            case _:
                return None


@dataclass(frozen=True, slots=True)
class PairedDifference(Estimate):
    """Candidate minus baseline on the same examples, with its interval and test."""

    p_value: float
    """Two-sided; under the hypothesis that swapping the two runs on an article changes nothing."""
    p_method: str
    differing: int
    """Examples on which the two scores differ."""


@dataclass(frozen=True, slots=True)
class SampleSize:
    """How many examples show a difference of a wished size."""

    examples: int | None
    """None where that cannot be said or reached; `limit` says why."""
    articles: int | None
    """Articles that they come from."""
    limit: Limit | None


def mean_interval(
    scores: npt.ArrayLike,
    articles: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """The mean of `scores` with an equal-tailed studentised cluster bootstrap interval over articles.

    The mean is the ratio of the articles' summed scores to their summed sizes. Each resample draws as many articles
    as there are, with replacement, and is studentised with its own standard error; a resample in which all articles
    have the same mean counts as infinitely far away, so that too many of them leave no interval instead of a short
    one. More than 2,000 articles are first merged at random into 2,000 groups, which are as independent as the
    articles were (random groups: Wolter, 2007, chapter 2).

    Coverage of the 95 % interval, simulated with articles of uneven size (lognormal, standard deviation of the
    logarithm 0.6; the development set's is 0.47): 93 to 97 % at 20, 48 and 300 articles, for scores of 0 and 1 and for
    F1-like ones (tests/statistics); a percentile bootstrap has 91 to 92 % at 20 articles, a t-interval
    93 to 94 %. Means near 0 or 1 with few questions an article get wider intervals than needed (98 %), or none.

    Args:
        scores: shape (n,), finite.
        articles: the article of each score, length n.
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
    grouped = _by_article(scores, articles)
    low, high, limit = _interval(grouped, 1.0 - confidence, resamples, seed)
    return Estimate(
        estimate=grouped.mean,
        low=None if low is None else max(low, bounds[0]),
        high=None if high is None else min(high, bounds[1]),
        standard_error=grouped.standard_error,
        n=grouped.n,
        articles=len(grouped.sums),
        effective_articles=grouped.effective,
        confidence=confidence,
        method=f"studentised cluster bootstrap over articles, {resamples:,} resamples, seed {seed}",
        limit=limit,
    )


def paired_difference(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    articles: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """The mean of candidate minus baseline on the same examples, its interval, and a p-value.

    The interval is `mean_interval` of the differences. The p-value is that of a sign-flip permutation test: if the
    runs were interchangeable, each article's summed difference could as well have the other sign. All sign patterns
    are enumerated where there are no more of them than `resamples` (13 articles that differ, at 10,000), else
    `resamples` random ones are drawn, and the observed one counts among them. It is valid for any number of
    articles, but below 6 that differ it cannot fall under 0.05.

    Args:
        baseline: shape (n,), finite.
        candidate: shape (n,), the same examples in the same order.
        articles: the article of each example, length n.
        confidence: the interval's nominal coverage.
        resamples: of the bootstrap, and sign patterns of the test.
        seed: of both.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.

    Source: Fisher, 1935, "The Design of Experiments", section 21; Canay, Romano and Shaikh, 2017,
    doi:10.3982/ECTA13081 (sign changes of clusters); Phipson and Smyth, 2010, doi:10.2202/1544-6115.1585 (p-values of
    random permutations are never 0).
    """
    differences = _differences(baseline, candidate)
    interval = mean_interval(differences, articles, confidence=confidence, resamples=resamples, seed=seed)
    p_value, p_method = _sign_flip(_by_article(differences, articles), resamples, seed)
    return PairedDifference(
        **{name: getattr(interval, name) for name in Estimate.__slots__},
        p_value=p_value,
        p_method=p_method,
        differing=int(np.count_nonzero(differences)),
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p-values corrected for their number, in the given order; none where none are given.

    Rejecting those of at most alpha keeps the chance of any false rejection at alpha, however the tests depend on
    each other.

    Source: Holm, 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    so_far = 0.0
    for rank, position in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = so_far
    return tuple(corrected)


def minimum_detectable_difference(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    articles: Sequence[str],
    *,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float | None:
    """The true difference that these examples would show (two-sided test at `alpha`) with a chance of `power`.

    (t(1 - alpha/2) + t(power)) x the cluster-robust standard error of the paired difference, with one degree of
    freedom less than effective articles. It speaks of a new sample like this one; whether this one shows something
    is `paired_difference`'s to say. None where there are too few articles, or no variation.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.

    Source: Bloom, 1995, "Minimum Detectable Effects", doi:10.1177/0193841X9501900504; Miller, 2024,
    arXiv:2411.00640, section 5.
    """
    grouped = _by_article(_differences(baseline, candidate), articles)
    if grouped.limit is not None:
        return None
    return _detection_factor(grouped.effective, power, alpha) * cast(float, grouped.standard_error)


def examples_needed(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    articles: Sequence[str],
    difference: float,
    *,
    power: float = 0.8,
    alpha: float = 0.05,
    articles_available: int | None = None,
) -> SampleSize:
    """How many examples in all would show a true difference of this size, judged by the examples at hand.

    Without `articles_available`, more examples are taken to come from more articles, as many from each as now: the
    standard error falls with the square root. With it, the examples are spread over that many articles, as uneven
    as now; what articles have in common (`PLANNING_CORRELATION`) then does not average out, and there is a
    difference that no number of examples shows (`Limit.MORE_ARTICLES_NEEDED`).

    Args:
        baseline: shape (n,), finite.
        candidate: shape (n,), the same examples in the same order.
        articles: the article of each example, length n.
        difference: the wished difference, not 0, in the unit of the scores.
        power: the chance to show it.
        alpha: of the two-sided test.
        articles_available: articles in the dataset that examples can be taken from.

    Raises:
        InputError: there are no scores, one is not finite, lengths differ, or `difference` is 0.

    Source: Miller, 2024, arXiv:2411.00640, section 5; the design effect 1 + (size - 1) x correlation is Kish's
    (1965, "Survey Sampling", section 5.4).
    """
    if not difference:
        raise InputError("No number of examples shows a difference of 0: give the smallest one that matters.")
    grouped = _by_article(_differences(baseline, candidate), articles)
    if grouped.limit is not None:
        return SampleSize(None, None, grouped.limit)
    if articles_available is None:
        return _with_new_articles(grouped, abs(difference), power, alpha)
    return _within_articles(grouped, abs(difference), power, alpha, articles_available)


def share_interval(mean: float, articles: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """An interval for the mean of scores of 0 to 1 that holds where the bootstrap has none, because it is wide.

    The exact binomial interval, with each article taken for a single question: as if all questions of an article
    always agreed. 25 articles without a single failure leave room for a share of 0.86.

    Args:
        mean: of the scores, 0 to 1.
        articles: effective articles.
        confidence: the interval's nominal coverage.

    Source: Clopper and Pearson, 1934, doi:10.1093/biomet/26.4.404; the effective number in place of the sample's
    is Korn and Graubard's (1998, Survey Methodology 24), here at its smallest.
    """
    alpha = 1.0 - confidence
    successes = mean * articles
    low = special.betaincinv(successes, articles - successes + 1, alpha / 2) if successes > 0 else 0.0
    high = special.betaincinv(successes + 1, articles - successes, 1 - alpha / 2) if successes < articles else 1.0
    return float(low), float(high)


def offset_p_value(
    baseline: npt.ArrayLike,
    candidate: npt.ArrayLike,
    articles: Sequence[str],
    offset: float,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> float:
    """The two-sided p-value of the hypothesis that candidate minus baseline is `offset` on average.

    The sign-flip test of `paired_difference`, about `offset` in place of 0. It speaks where articles hardly vary and
    the bootstrap therefore has no interval.

    Raises:
        InputError: there are no scores, one is not finite, or lengths differ.
    """
    differences = _differences(baseline, candidate) - offset
    return _sign_flip(_by_article(differences, articles), resamples, seed)[0]


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of one run with the article of each; any number an article."""

    values: _Floats
    """(n,), finite."""
    articles: tuple[str, ...]
    """Length n."""


def quantile(values: npt.ArrayLike, share: float) -> float:
    """The nearest-rank quantile, as the tables of a run have it."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def quantile_interval(sample: Sample, share: float, *, confidence: float = 0.95, seed: int = 0) -> Estimate:
    """A quantile with its percentile cluster bootstrap interval over articles. In the unit of the values.

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

    Both are resampled by the same articles, so that what makes an article slow for both cancels.

    Raises:
        InputError: there are no values, one is not finite, or the two are not about the same articles.

    Source: as for `quantile_interval`.
    """
    if set(baseline.articles) != set(candidate.articles):
        raise InputError("Quantiles are compared on the same articles: give measurements of the same examples.")
    first, second = _resampled_quantiles([baseline, candidate], share, seed)
    estimate = quantile(candidate.values, share) - quantile(baseline.values, share)
    return _of_quantiles(estimate, second - first, candidate, confidence, seed)


def _of_quantiles(estimate: float, resampled: _Floats, sample: Sample, confidence: float, seed: int) -> Estimate:
    grouped = _by_article(sample.values, sample.articles)
    limit = Limit.TOO_FEW_ARTICLES if grouped.effective < MIN_ARTICLES else None
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    return Estimate(
        estimate=estimate,
        low=None if limit else float(low),
        high=None if limit else float(high),
        standard_error=float(np.std(resampled)),
        n=grouped.n,
        articles=len(grouped.sums),
        effective_articles=grouped.effective,
        confidence=confidence,
        method=f"percentile cluster bootstrap over articles, {len(resampled):,} resamples, seed {seed}",
        limit=limit,
    )


def _resampled_quantiles(samples: Sequence[Sample], share: float, seed: int) -> list[_Floats]:
    """(resamples,) for each sample: its quantile when articles are drawn with replacement, the same for all samples."""
    place = {article: index for index, article in enumerate(sorted(set(samples[0].articles)))}
    largest = max(len(sample.values) for sample in samples)
    rows = max(1, _CHUNK // largest)
    rng = np.random.default_rng(seed)
    sorters = [_sorted_by_value(sample, place) for sample in samples]
    found: list[list[_Floats]] = [[] for _ in samples]
    for start in range(0, _QUANTILE_RESAMPLES, rows):
        counts = rng.multinomial(
            len(place), np.full(len(place), 1 / len(place)), size=min(rows, _QUANTILE_RESAMPLES - start)
        )
        for (values, codes), collected in zip(sorters, found, strict=True):
            reached = np.cumsum(counts[:, codes], axis=1)
            # Nearest rank: the first value that more than `share` of the drawn ones do not exceed.
            above = reached > np.floor(share * reached[:, -1:])
            collected.append(values[np.where(above.any(axis=1), above.argmax(axis=1), len(values) - 1)])
    return [np.concatenate(each) for each in found]


def _sorted_by_value(sample: Sample, place: dict[str, int]) -> tuple[_Floats, npt.NDArray[np.intp]]:
    """The values in order, and the number of each one's article."""
    _by_article(sample.values, sample.articles)  # refuses what is empty or not finite
    values = np.asarray(sample.values, dtype=np.float64)
    codes = np.fromiter((place[article] for article in sample.articles), dtype=np.intp, count=len(values))
    order = np.argsort(values, kind="stable")
    return values[order], codes[order]


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Scores summed by article."""

    sums: _Floats
    """(articles,)"""
    sizes: _Floats
    """(articles,), examples."""

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
    def residuals(self) -> _Floats:
        """What each article's sum is off from what the mean makes of its size; rounding errors are 0."""
        residuals = self.sums - self.mean * self.sizes
        noise = 1e-12 * (np.abs(self.sums) + abs(self.mean) * self.sizes)
        return np.where(np.abs(residuals) <= noise, 0.0, residuals)

    @property
    def standard_error(self) -> float | None:
        """Linearised, with the small-sample factor 1 / (1 - 1/effective articles): G/(G-1) at even sizes."""
        if len(self.sums) < 2:
            return None
        residuals = self.residuals
        return float(math.sqrt(residuals @ residuals / (1.0 - 1.0 / self.effective)) / self.n)

    @property
    def limit(self) -> Limit | None:
        """What forbids a statement before any resampling."""
        if self.effective < MIN_ARTICLES:
            return Limit.TOO_FEW_ARTICLES
        return None if self.residuals.any() else Limit.NO_VARIATION

    def merged(self, seed: int) -> _Grouped:
        """At most 2,000 random groups of articles: time and memory stay bounded, variances as they were."""
        if len(self.sums) <= _MAX_GROUPS:
            return self
        group = np.random.default_rng(seed).permutation(len(self.sums)) % _MAX_GROUPS
        return _Grouped(_summed(group, self.sums), _summed(group, self.sizes))


def _by_article(scores: npt.ArrayLike, articles: Sequence[str]) -> _Grouped:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(articles):
        raise InputError(
            f"Give one article for each score: there are {values.size} scores and {len(articles)} articles."
        )
    if not len(values):
        raise InputError("There are no scores to speak of.")
    if not np.isfinite(values).all():
        raise InputError(f"Score {int(np.argmin(np.isfinite(values))) + 1} of {len(values)} is no finite number.")
    # Sorted by name, so that the order of the examples has no part in what is drawn.
    place = {article: index for index, article in enumerate(sorted(set(articles)))}
    codes = np.fromiter((place[article] for article in articles), dtype=np.intp, count=len(articles))
    return _Grouped(_summed(codes, values), _summed(codes, np.ones(len(codes))))


def _summed(group: npt.NDArray[np.intp], values: _Floats) -> _Floats:
    return np.bincount(group, values).astype(np.float64, copy=False)


def _differences(baseline: npt.ArrayLike, candidate: npt.ArrayLike) -> _Floats:
    first, second = np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64)
    if first.shape != second.shape:
        raise InputError(f"A pair needs both scores: the baseline has {first.size}, the candidate {second.size}.")
    return second - first


def _interval(
    grouped: _Grouped, alpha: float, resamples: int, seed: int
) -> tuple[float | None, float | None, Limit | None]:
    if grouped.limit is not None:
        return None, None, grouped.limit
    studentised = _studentised(grouped.merged(seed), resamples, seed)
    lower, upper = np.quantile(studentised, [alpha / 2, 1 - alpha / 2], method="inverted_cdf")
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return None, None, Limit.TOO_LITTLE_VARIATION
    spread = cast(float, grouped.standard_error)
    return float(grouped.mean - upper * spread), float(grouped.mean - lower * spread), None


def _studentised(grouped: _Grouped, resamples: int, seed: int) -> _Floats:
    """(resamples,): how far each resample's mean is off, in its own standard errors."""
    residuals, sizes = grouped.residuals, grouped.sizes
    moments = np.column_stack([residuals, sizes, residuals**2, residuals * sizes, sizes**2])
    off, size, squares, products, squared_sizes = _resampled_sums(moments, resamples, seed)
    shift = off / size
    variance = squares - 2 * shift * products + shift**2 * squared_sizes
    small_sample = 1 - squared_sizes / size**2
    same = (variance <= 1e-10 * squares) | (small_sample <= 1e-10)
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = off / np.sqrt(variance / small_sample)
        return np.where(same, np.where(off == 0, 0.0, np.sign(off) * np.inf), studentised)


def _resampled_sums(moments: _Floats, resamples: int, seed: int) -> _Floats:
    """(moments, resamples): column sums over articles drawn with replacement, in chunks of bounded memory."""
    rng = np.random.default_rng(seed)
    articles = len(moments)
    rows = max(1, _CHUNK // articles)
    sums = []
    for start in range(0, resamples, rows):
        height = min(rows, resamples - start)
        drawn = rng.integers(articles, size=(height, articles))
        drawn += np.arange(height)[:, None] * articles
        counts = np.bincount(drawn.ravel(), minlength=height * articles).reshape(height, articles)
        sums.append(counts @ moments)
    return np.concatenate(sums).T


def _sign_flip(grouped: _Grouped, resamples: int, seed: int) -> tuple[float, str]:
    """The two-sided p-value of the articles' summed differences, and how it was found."""
    grouped = grouped.merged(seed)
    differ = grouped.sums != 0
    sums, sizes = grouped.sums[differ], grouped.sizes[differ]
    patterns = 2 ** len(sums)
    exact = patterns <= resamples
    observed, flipped = (
        np.concatenate([_squared_t(signs @ np.column_stack([sums, sums * sizes]), grouped) for signs in blocks])
        for blocks in (
            [np.ones((1, len(sums)))],
            _all_signs(len(sums)) if exact else _random_signs(len(sums), resamples, seed),
        )
    )
    # Patterns that tie with the observed one must count, whatever their last digit.
    as_extreme = int(np.count_nonzero(flipped >= observed * (1 - 1e-9)))
    if exact:
        return as_extreme / patterns, f"sign-flip permutation over articles, all {patterns:,} patterns"
    method = f"sign-flip permutation over articles, {resamples:,} random patterns, seed {seed}"
    return (1 + as_extreme) / (1 + resamples), method


def _squared_t(flipped: _Floats, grouped: _Grouped) -> _Floats:
    """(patterns,): the squared cluster-robust t, from each pattern's sums of differences and differences x sizes."""
    total, weighted = flipped.T
    mean = total / grouped.sizes.sum()
    squares, squared_sizes = grouped.sums @ grouped.sums, grouped.sizes @ grouped.sizes
    variance = squares - 2 * mean * weighted + mean**2 * squared_sizes
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total == 0, 0.0, total**2 / np.where(variance <= 1e-12 * squares, 0.0, variance))


def _all_signs(articles: int) -> Iterator[_Floats]:
    """Every pattern of -1 and 1, (patterns, articles)."""
    yield np.where(np.arange(2**articles)[:, None] >> np.arange(articles) & 1, 1.0, -1.0)


def _random_signs(articles: int, patterns: int, seed: int) -> Iterator[_Floats]:
    """Random patterns of -1 and 1, (some patterns, articles) at a time."""
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // articles)
    for start in range(0, patterns, rows):
        yield np.where(rng.integers(2, size=(min(rows, patterns - start), articles), dtype=np.int8), 1.0, -1.0)


def _detection_factor(effective: float, power: float, alpha: float) -> float:
    """Standard errors that a true difference must measure to be shown."""
    freedom = effective - 1
    return float(special.stdtrit(freedom, 1 - alpha / 2) + special.stdtrit(freedom, power))


def _with_new_articles(grouped: _Grouped, difference: float, power: float, alpha: float) -> SampleSize:
    spread = cast(float, grouped.standard_error)
    growth = 1.0
    # More articles mean more degrees of freedom, so the size depends on itself; it settles in a few steps.
    for _ in range(20):
        effective = max(MIN_ARTICLES, grouped.effective * growth)
        growth = (_detection_factor(effective, power, alpha) * spread / difference) ** 2
    growth = max(growth, MIN_ARTICLES / grouped.effective)
    return SampleSize(math.ceil(grouped.n * growth), math.ceil(len(grouped.sums) * growth), None)


def _within_articles(grouped: _Grouped, difference: float, power: float, alpha: float, available: int) -> SampleSize:
    effective = grouped.effective * available / len(grouped.sums)
    if effective < MIN_ARTICLES:
        return SampleSize(None, None, Limit.TOO_FEW_ARTICLES)
    correlation = PLANNING_CORRELATION
    # What one example varies by, without what its article adds.
    variance = cast(float, grouped.standard_error) ** 2 * grouped.n
    variance /= 1 + (grouped.n / grouped.effective - 1) * correlation
    wished = (difference / _detection_factor(effective, power, alpha)) ** 2
    left = wished / variance - correlation / effective
    if left <= 0:
        return SampleSize(None, None, Limit.MORE_ARTICLES_NEEDED)
    examples = math.ceil((1 - correlation) / left)
    return SampleSize(examples, min(examples, available), None)
