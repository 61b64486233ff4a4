"""The intervals cover as often as they say, the tests err as often as they say, and too little data says so.

The simulations draw groups of uneven size (lognormal) with scores that are alike within an group, from fixed
seeds. Inside them 999 resamples take the place of 10,000: quicker, and the quantiles hardly move.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qa_eval.errors import InputError
from qa_eval.statistics import (
    MIN_GROUPS,
    Estimate,
    Limit,
    PairedDifference,
    Sample,
    SampleSize,
    examples_needed,
    holm,
    mean_interval,
    minimum_detectable_difference,
    offset_p_value,
    paired_difference,
    quantile,
    quantile_difference,
    quantile_interval,
    share_interval,
)

Floats = npt.NDArray[np.float64]
RESAMPLES = 999
MEAN = 0.75
# Groups, repetitions: enough that the standard error of a simulated 95 % is at most 1.1 points.
SIZES = [(20, 1000), (48, 600), (300, 400)]


# --- simulated worlds ---------------------------------------------------------------------------------------------


def uneven_groups(rng: np.random.Generator, groups: int, questions: float = 8) -> npt.NDArray[np.intp]:
    """The group of each question; the development set's sizes vary less (0.47 instead of 0.6)."""
    sizes = np.maximum(1, np.rint(rng.lognormal(math.log(questions) - 0.18, 0.6, groups))).astype(int)
    return np.repeat(np.arange(groups), sizes)


def named(group: npt.NDArray[np.intp]) -> list[str]:
    return [f"group {number}" for number in group]


def exact_matches(rng: np.random.Generator, group: npt.NDArray[np.intp]) -> Floats:
    """0 or 1 with mean 0.75; correlation within an group 0.05 (the development set's: 0.02)."""
    easy = rng.beta(14.25, 4.75, group.max() + 1)[group]
    return np.where(rng.random(group.size) < easy, 1.0, 0.0)


def f1_scores(rng: np.random.Generator, group: npt.NDArray[np.intp]) -> Floats:
    """Much at 0, more at 1, the rest between; mean 0.75."""
    easy = rng.beta(14.25, 4.75, group.max() + 1)[group]
    draw = rng.random(group.size)
    partial = np.where(draw < easy + 0.2 * (1 - easy), rng.beta(3, 2, group.size), 0.0)
    # 1 with 0.9 x easy, a partial score with the next 0.1 x easy + 0.2 x (1 - easy).
    return np.where(draw < 0.9 * easy, 1.0, partial)


F1_MEAN = 0.9 * MEAN + 0.6 * (0.1 * MEAN + 0.2 * (1 - MEAN))
WORLDS = [pytest.param(exact_matches, MEAN, id="exact match"), pytest.param(f1_scores, F1_MEAN, id="F1")]


def two_runs(
    rng: np.random.Generator, groups: int, questions: float = 8, better: float = 0.0
) -> tuple[Floats, Floats, list[str]]:
    """Two systems on the same questions; each is better on some groups, the second by `better` on all together.

    Their difference has the correlation of 0.01 within an group that two published systems have.
    """
    group = uneven_groups(rng, groups, questions)
    easy = rng.beta(8, 3, groups)[group] * 0.8
    likes = rng.choice([-0.03, 0.03], groups)[group]
    hard = rng.random(group.size)

    def run(share: Floats) -> Floats:
        own = np.where(rng.random(group.size) < 0.6, hard, rng.random(group.size))
        return (own < share).astype(float)

    return run(easy - likes), run(easy + likes + better), named(group)


# --- what simulations say -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("groups", "repetitions"), SIZES)
@pytest.mark.parametrize(("scores", "truth"), WORLDS)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    scores: Callable[[np.random.Generator, npt.NDArray[np.intp]], Floats], truth: float, groups: int, repetitions: int
) -> None:
    rng = np.random.default_rng(groups)
    covered = given_one = 0
    for _ in range(repetitions):
        group = uneven_groups(rng, groups)
        interval = mean_interval(scores(rng, group), named(group), resamples=RESAMPLES)
        if interval.low is not None and interval.high is not None:
            given_one += 1
            covered += interval.low <= truth <= interval.high
    assert given_one > 0.98 * repetitions
    assert 0.93 <= covered / given_one <= 0.97


@pytest.mark.parametrize(("groups", "repetitions"), SIZES)
def test_two_equal_runs_are_rarely_told_apart(groups: int, repetitions: int) -> None:
    rng = np.random.default_rng(1000 + groups)
    false_alarms = covered = given_one = 0
    for _ in range(repetitions):
        result = paired_difference(*two_runs(rng, groups), resamples=RESAMPLES)
        false_alarms += result.p_value <= 0.05
        if result.low is not None and result.high is not None:
            given_one += 1
            covered += result.low <= 0 <= result.high
    assert 0.03 <= false_alarms / repetitions <= 0.06
    assert 0.93 <= covered / given_one <= 0.97


def test_the_detectable_difference_is_detected_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    promised = fmean([cast_float(minimum_detectable_difference(*two_runs(rng, 48))) for _ in range(200)])
    results = [paired_difference(*two_runs(rng, 48, better=promised), resamples=RESAMPLES) for _ in range(600)]
    assert np.mean([result.estimate for result in results]) == pytest.approx(promised, abs=0.005)
    assert 0.76 <= np.mean([result.p_value <= 0.05 for result in results]) <= 0.88


def test_the_examples_needed_show_the_wished_difference() -> None:
    """A sample of 3 questions from each of 48 groups says how many groups like these it takes for 6 points."""
    rng = np.random.default_rng(8)
    plans = [examples_needed(*two_runs(rng, 48, 3), 0.06).groups for _ in range(200)]
    needed = round(float(np.median([plan for plan in plans if plan is not None])))
    results = [paired_difference(*two_runs(rng, needed, 3, better=0.06), resamples=RESAMPLES) for _ in range(600)]
    assert 0.72 <= np.mean([result.p_value <= 0.05 for result in results]) <= 0.88


def cast_float(number: float | None) -> float:
    assert number is not None
    return number


# --- known answers ------------------------------------------------------------------------------------------------


def test_groups_of_one_question_give_the_textbook_interval() -> None:
    """With many independent, evenly spread scores the studentised bootstrap is the t-interval."""
    scores = np.random.default_rng(2).normal(10, 2, 400)
    result = mean_interval(scores, [str(number) for number in range(400)])
    low, high = stats.t.interval(0.95, 399, scores.mean(), stats.sem(scores))
    assert result.estimate == pytest.approx(scores.mean())
    assert result.standard_error == pytest.approx(stats.sem(scores))
    assert result.low == pytest.approx(low, abs=0.01)
    assert result.high == pytest.approx(high, abs=0.01)
    assert result.effective_groups == pytest.approx(400)
    assert (result.n, result.groups) == (400, 400)


def test_the_interval_is_that_of_the_definition_written_out() -> None:
    rng = np.random.default_rng(12)
    group = np.repeat(np.arange(9), [3, 4, 4, 5, 5, 6, 6, 7, 8])
    scores = rng.random(group.size) * (group + 2)
    groups = [scores[group == number] for number in range(9)]

    def mean_and_error(drawn: list[Floats]) -> tuple[float, float]:
        sizes = np.array([len(group) for group in drawn])
        mean = sum(group.sum() for group in drawn) / sizes.sum()
        residuals = np.array([(group - mean).sum() for group in drawn])
        small_sample = 1 - np.sum(sizes**2) / sizes.sum() ** 2
        return mean, math.sqrt(np.sum(residuals**2) / small_sample) / sizes.sum()

    mean, error = mean_and_error(groups)
    studentised = []
    for _ in range(20_000):
        drawn_mean, drawn_error = mean_and_error([groups[number] for number in rng.integers(9, size=9)])
        studentised.append((drawn_mean - mean) / drawn_error)
    lower, upper = np.quantile(studentised, [0.025, 0.975])
    result = mean_interval(scores, named(group), resamples=50_000)
    assert result.low == pytest.approx(mean - upper * error, abs=0.08 * error)
    assert result.high == pytest.approx(mean - lower * error, abs=0.12 * error)


def test_scores_alike_within_groups_widen_the_interval() -> None:
    group = np.repeat(np.arange(40), 10)
    alike = np.random.default_rng(3).random(40)[group]
    clustered, independent = (mean_interval(alike, names) for names in (named(group), named(np.arange(400))))
    assert width(clustered) > 2.5 * width(independent)


def width(result: Estimate) -> float:
    assert result.low is not None
    assert result.high is not None
    return result.high - result.low


def test_effective_groups_count_uneven_sizes() -> None:
    group = np.repeat(np.arange(11), [10] * 10 + [100])
    result = mean_interval(np.arange(200.0), named(group))
    assert result.effective_groups == pytest.approx(200**2 / (10 * 10**2 + 100**2))
    assert result.limit is Limit.TOO_FEW_GROUPS


def test_the_interval_is_cut_at_its_bounds() -> None:
    scores = np.tile([1.0, 1.0, 1.0, 0.6], 6)
    names = [str(number) for number in range(24)]
    free, cut = mean_interval(scores, names), mean_interval(scores, names, bounds=(0.85, 0.95))
    assert (cut.low, cut.high) == (0.85, 0.95)
    assert free.low is not None
    assert free.low < 0.85


@pytest.mark.parametrize("groups", [6, 10, 13])
def test_with_few_groups_the_p_value_counts_every_pattern(groups: int) -> None:
    """Even sizes: the studentised test orders patterns as the summed difference does."""
    difference = np.random.default_rng(groups).normal(0.4, 1, groups)
    patterns = itertools.product([-1, 1], repeat=groups)
    extreme = sum(abs(np.dot(signs, difference)) >= abs(difference.sum()) - 1e-9 for signs in patterns)
    result = paired_difference(np.zeros(groups), difference, named(np.arange(groups)))
    assert result.p_value == extreme / 2**groups
    assert f"all {2**groups:,} patterns" in result.p_method


def test_groups_without_a_difference_leave_the_patterns_countable() -> None:
    difference = np.where(np.arange(400) < 10, 1.0, 0.0)
    result = paired_difference(np.zeros(400), difference, named(np.arange(400)))
    assert result.p_value == 2 / 2**10
    assert result.differing == 10


def test_random_patterns_come_close_to_all_of_them() -> None:
    difference = np.random.default_rng(4).normal(0.5, 1, 12)
    names = named(np.arange(12))
    exact = paired_difference(np.zeros(12), difference, names)
    drawn = paired_difference(np.zeros(12), difference, names, resamples=4_000)
    assert "random patterns" in drawn.p_method
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.015)


def test_a_difference_on_every_group_has_the_smallest_p_value() -> None:
    better = paired_difference(np.zeros(300), np.linspace(0.5, 1, 300), named(np.arange(300)))
    assert better.p_value == 1 / 10_001
    assert better.low is not None
    assert better.low > 0.7
    assert better.differing == 300


def test_exchanging_the_runs_turns_the_difference_around() -> None:
    baseline, candidate, groups = two_runs(np.random.default_rng(5), 48, better=0.05)
    there, back = paired_difference(baseline, candidate, groups), paired_difference(candidate, baseline, groups)
    assert there.low is not None
    assert (there.estimate, there.p_value) == (-back.estimate, back.p_value)
    assert there.low == pytest.approx(-cast_float(back.high), abs=0.003)


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], ()),
        ([0.03], (0.03,)),
        ([0.04, 0.01, 0.03], (0.06, 0.03, 0.06)),
        ([0.9, 0.8, 0.7], (1.0, 1.0, 1.0)),
        ([0.01, 0.01], (0.02, 0.02)),
    ],
)
def test_holm(p_values: list[float], corrected: tuple[float, ...]) -> None:
    assert holm(p_values) == pytest.approx(corrected)


def test_more_groups_show_smaller_differences_by_the_square_root() -> None:
    runs = two_runs(np.random.default_rng(6), 200)
    detectable = cast_float(minimum_detectable_difference(*runs))
    half = examples_needed(*runs, detectable / 2)
    assert examples_needed(*runs, detectable) == SampleSize(len(runs[2]), 200, None)
    assert half.examples == pytest.approx(4 * len(runs[2]), rel=0.02)
    assert half.groups == pytest.approx(800, rel=0.02)


# --- where nothing can be said ------------------------------------------------------------------------------------


def test_too_few_groups_get_no_interval_and_a_reason() -> None:
    group = np.repeat(np.arange(MIN_GROUPS - 1), 80)
    scores = np.random.default_rng(1).random(group.size)
    result = mean_interval(scores, named(group))
    assert (result.low, result.high, result.limit) == (None, None, Limit.TOO_FEW_GROUPS)
    assert result.estimate == pytest.approx(scores.mean())
    assert result.reason is not None
    assert "560 examples from 7 groups" in result.reason
    assert minimum_detectable_difference(scores, scores[::-1], named(group)) is None
    assert examples_needed(scores, scores[::-1], named(group), 0.1).limit is Limit.TOO_FEW_GROUPS
    enough = mean_interval(scores, named(np.arange(group.size) % MIN_GROUPS))
    assert (enough.limit, enough.reason) == (None, None)


def test_one_group_has_no_standard_error() -> None:
    result = paired_difference([0.0, 1.0], [1.0, 1.0], ["only"] * 2)
    assert (result.standard_error, result.limit, result.p_value) == (None, Limit.TOO_FEW_GROUPS, 1.0)


@pytest.mark.parametrize("score", [0.0, 1.0, 0.1])
def test_equal_scores_get_no_interval_of_width_zero(score: float) -> None:
    group = uneven_groups(np.random.default_rng(2), 50)
    result = mean_interval(np.full(group.size, score), named(group))
    assert (result.low, result.limit) == (None, Limit.NO_VARIATION)
    assert result.reason is not None


def test_a_run_compared_with_itself_differs_nowhere() -> None:
    scores, _, groups = two_runs(np.random.default_rng(2), 48)
    result = paired_difference(scores, scores, groups)
    assert (result.estimate, result.p_value, result.differing) == (0.0, 1.0, 0)
    assert result.limit is Limit.NO_VARIATION
    assert minimum_detectable_difference(scores, scores, groups) is None


def test_one_failure_among_twenty_says_too_little() -> None:
    result = mean_interval([0.0] + [1.0] * 19, named(np.arange(20)))
    assert (result.low, result.high, result.limit) == (None, None, Limit.TOO_LITTLE_VARIATION)
    assert result.reason is not None
    assert result.standard_error == pytest.approx(0.05)


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "groups", "sentence"),
    [
        ([], [], "no scores"),
        ([1.0], ["a", "b"], "1 scores and 2 groups"),
        ([0.5, math.nan], ["a", "b"], "Score 2 of 2"),
        ([math.inf, 0.5], ["a", "b"], "Score 1 of 2"),
        ([[1.0]], ["a"], "one group for each score"),
    ],
)
def test_mistakes_are_named(scores: Any, groups: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        mean_interval(scores, groups)


def test_unpaired_runs_are_refused() -> None:
    with pytest.raises(InputError, match="the baseline has 3, the candidate 2"):
        paired_difference([1, 1, 1], [1, 1], ["a", "b", "c"])


def test_a_wished_difference_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="difference of 0"):
        examples_needed([0.0, 1.0], [1.0, 1.0], ["a", "b"], 0.0)


# --- properties ---------------------------------------------------------------------------------------------------

scored_groups = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([f"a{number}" for number in range(30)])),
    min_size=1,
    max_size=80,
)


@given(scored_groups)
def test_the_interval_holds_the_mean(rows: list[tuple[float, str]]) -> None:
    """Feature: litellm-ecs-demo, Property: an interval holds the plain mean, or there is none and a reason."""
    scores, groups = zip(*rows, strict=True)
    result = mean_interval(scores, groups, resamples=200)
    assert result.estimate == pytest.approx(sum(scores) / len(scores))
    assert (result.low is None) == (result.high is None) == (result.reason is not None)
    if result.low is not None and result.high is not None:
        assert result.low <= result.estimate + 1e-12
        assert result.high >= result.estimate - 1e-12


@given(scored_groups, st.randoms())
def test_the_order_of_examples_is_of_no_account(rows: list[tuple[float, str]], shuffler: Any) -> None:
    """Feature: litellm-ecs-demo, Property: the same examples in another order give the same result."""
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first, second = (compare(order) for order in (rows, shuffled))
    assert (first.low, first.high, first.p_value) == (second.low, second.high, second.p_value)


def compare(rows: list[tuple[float, str]]) -> PairedDifference:
    scores, groups = zip(*rows, strict=True)
    return paired_difference([0.5] * len(scores), scores, groups, resamples=200)


@given(scored_groups)
def test_p_values_are_probabilities(rows: list[tuple[float, str]]) -> None:
    """Feature: litellm-ecs-demo, Property: a p-value is above 0, at most 1, and the same with the runs exchanged."""
    scores, groups = zip(*rows, strict=True)
    there = paired_difference([0.5] * len(scores), scores, groups, resamples=200)
    back = paired_difference(scores, [0.5] * len(scores), groups, resamples=200)
    assert 0 < there.p_value == back.p_value <= 1


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_and_keeps_the_order(p_values: list[float]) -> None:
    """Feature: litellm-ecs-demo, Property: Holm's p-values are no lower, at most 1, and ordered as the plain ones."""
    corrected = holm(p_values)
    assert all(plain <= adjusted <= 1 for plain, adjusted in zip(p_values, corrected, strict=True))
    assert [adjusted for _, adjusted in sorted(zip(p_values, corrected, strict=True))] == sorted(corrected)


# --- quantiles, shares, and tests about another value than 0 -----------------------------------------------------


def latencies(rng: np.random.Generator, groups: int = 25, questions: int = 100) -> tuple[Sample, Sample]:
    """Two equally quick runs; what makes an group slow is common to both."""
    group = rng.integers(groups, size=questions)
    slow = rng.normal(0, 0.2, groups)[group]
    names = tuple(str(each) for each in group)
    first, second = (Sample(np.exp(slow + rng.normal(0, 0.5, questions)), names) for _ in range(2))
    return first, second


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_the_interval_of_a_quantiles_difference_covers_0(share: float) -> None:
    rng = np.random.default_rng(3)
    repetitions, covered = 300, 0
    for seed in range(repetitions):
        found = quantile_difference(*latencies(rng), share, seed=seed)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
    assert 0.92 <= covered / repetitions <= 0.99


def test_the_quantile_is_the_nearest_rank() -> None:
    values = np.arange(1.0, 101.0)
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1.0)) == (51, 96, 100)
    sample = Sample(values, tuple(str(number // 4) for number in range(100)))
    interval = quantile_interval(sample, 0.5)
    assert interval.estimate == 51
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < 51 < interval.high


def test_a_shifted_quantile_is_found() -> None:
    first, _ = latencies(np.random.default_rng(4))
    found = quantile_difference(first, Sample(first.values + 2.0, first.groups), 0.95)
    assert found.estimate == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2, 2))


def test_quantiles_of_too_few_groups_have_no_interval() -> None:
    found = quantile_interval(Sample(np.arange(5.0), tuple("abcde")), 0.5)
    assert (found.low, found.limit) == (None, Limit.TOO_FEW_GROUPS)


def test_quantiles_of_different_groups_are_refused() -> None:
    with pytest.raises(InputError, match="the same groups"):
        quantile_difference(Sample(np.ones(2), ("a", "b")), Sample(np.ones(2), ("a", "c")), 0.5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (99, 100)])
def test_the_shares_interval_is_the_exact_binomial_one(successes: int, trials: int) -> None:
    expected = stats.binomtest(successes, trials).proportion_ci(method="exact")
    assert share_interval(successes / trials, trials) == pytest.approx((expected.low, expected.high))


def test_a_test_about_the_difference_itself_does_not_reject() -> None:
    rng = np.random.default_rng(5)
    rejected = np.mean(
        [offset_p_value(*two_runs(rng, 48, better=0.05), 0.05, resamples=RESAMPLES) <= 0.05 for _ in range(400)]
    )
    assert rejected <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    names = [str(number) for number in range(20)]
    assert offset_p_value(np.ones(20), np.zeros(20), names, -0.02) < 0.001
    assert offset_p_value(np.ones(20), np.zeros(20), names, -1.0) == 1.0
