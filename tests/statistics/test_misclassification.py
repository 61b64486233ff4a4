"""A judge's verdicts, corrected for its errors: the arithmetic, what the interval includes, and how often it covers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qa_eval.errors import InputError
from qa_eval.statistics import (
    Estimate,
    JudgeAccuracy,
    Limit,
    corrected_mean,
    exact_interval,
    mean_interval,
)

PERFECT = JudgeAccuracy(100_000, 100_000, 100_000, 100_000)
GOOD = JudgeAccuracy(50, 45, 50, 43)


def ends(found: Estimate | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def answers(share: float, groups: int = 40, size: int = 10) -> tuple[list[float], list[str]]:
    """Verdicts with exactly this share of 1, unevenly spread over the groups."""
    n = groups * size
    verdicts = np.random.default_rng(1).permutation(np.arange(n) < round(share * n)).astype(float)
    return verdicts.tolist(), [str(number // size) for number in range(n)]


# --- known answers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (3, 10), (10, 10), (45, 50), (49, 50)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_exact_interval_is_that_of_clopper_and_pearson(successes: int, n: int, confidence: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    assert exact_interval(successes, n, confidence) == pytest.approx((expected.low, expected.high))


def test_what_a_judge_said_gives_both_shares() -> None:
    assert (GOOD.sensitivity, GOOD.specificity, GOOD.over_chance) == pytest.approx((0.9, 0.86, 0.76))
    assert GOOD.sensitivity_interval == exact_interval(45, 50)
    assert GOOD.specificity_interval == exact_interval(43, 50)
    assert GOOD.can_tell
    assert GOOD.sentence == (
        "sensitivity 0.90 (0.78 to 0.97) on 50 right answers, specificity 0.86 (0.73 to 0.94) on 50 wrong ones"
    )
    assert json.loads(json.dumps(GOOD.to_json()))["specificity"] == 0.86


def test_the_estimate_is_rogan_and_gladens() -> None:
    """23 of 150 cows test positive; sensitivity 0.96, specificity 0.89: 5.1 in 100 are diseased (Rothman, 2002)."""
    found = corrected_mean([1.0] * 23 + [0.0] * 127, [str(cow) for cow in range(150)], JudgeAccuracy(100, 96, 100, 89))
    assert found is not None
    assert found.estimate == pytest.approx((23 / 150 + 0.89 - 1) / 0.85)
    assert found.estimate == pytest.approx(0.051, abs=5e-4)


def test_the_interval_is_near_lang_and_reiczigels() -> None:
    """60 % of 400 independent answers said right, 45 and 43 of 50 planted: 0.49 to 0.73 by their formula."""
    verdicts, _ = answers(0.6)
    found = corrected_mean(verdicts, [str(number) for number in range(400)], GOOD)
    assert ends(found) == pytest.approx(lang_reiczigel(0.6, 400, 0.9, 50, 0.86, 50), abs=0.015)


def lang_reiczigel(mean: float, n: int, sens: float, right: int, spec: float, wrong: int) -> tuple[float, float]:
    """Their equations 4, 6, 7, 16 and 17."""
    z = stats.norm.ppf(0.975)
    sens, spec = (right * sens + 1) / (right + 2), (wrong * spec + 1) / (wrong + 2)
    mean = (n * mean + z**2 / 2) / (n + z**2)
    share = (mean + spec - 1) / (sens + spec - 1)
    by_right, by_wrong = sens * (1 - sens) / (right + 2), spec * (1 - spec) / (wrong + 2)
    shift = 2 * z**2 * (share * by_right - (1 - share) * by_wrong)
    variance = mean * (1 - mean) / (n + z**2) + share**2 * by_right + (1 - share) ** 2 * by_wrong
    reach = z * variance**0.5 / (sens + spec - 1)
    return share + shift - reach, share + shift + reach


def test_the_standard_error_has_all_three_parts() -> None:
    verdicts, groups = answers(0.6)
    found, raw = corrected_mean(verdicts, groups, GOOD), mean_interval(verdicts, groups)
    assert found is not None
    assert found.standard_error is not None
    assert raw.standard_error is not None
    share = found.estimate
    parts = raw.standard_error**2 + share**2 * 0.9 * 0.1 / 50 + (1 - share) ** 2 * 0.86 * 0.14 / 50
    assert found.standard_error == pytest.approx(parts**0.5 / 0.76, rel=0.03)


# --- what the interval includes -----------------------------------------------------------------------------------


def test_a_perfect_judge_needs_no_correction() -> None:
    verdicts, groups = answers(0.7)
    assert ends(corrected_mean(verdicts, groups, PERFECT)) == pytest.approx(
        ends(mean_interval(verdicts, groups)), abs=0.001
    )


def test_fifty_of_fifty_are_not_certainty() -> None:
    verdicts, groups = answers(0.7)
    flawless = corrected_mean(verdicts, groups, JudgeAccuracy(50, 50, 50, 50))
    (low, high), (raw_low, raw_high) = ends(flawless), ends(mean_interval(verdicts, groups))
    assert high - low > 1.05 * (raw_high - raw_low)


def test_fewer_planted_answers_make_the_interval_wider() -> None:
    verdicts, groups = answers(0.6)
    many, few = (
        ends(corrected_mean(verdicts, groups, JudgeAccuracy(n, n * 9 // 10, n, n * 9 // 10))) for n in (1000, 20)
    )
    assert few[1] - few[0] > 1.5 * (many[1] - many[0])


def test_groups_alike_make_the_interval_wider() -> None:
    mixed, groups = answers(0.6)
    alike, apart = (ends(corrected_mean(verdicts, groups, GOOD)) for verdicts in (sorted(mixed), mixed))
    assert alike[1] - alike[0] > 1.3 * (apart[1] - apart[0])


@pytest.mark.parametrize(("verdict", "mean"), [(1.0, 1.0), (0.0, 0.0)])
def test_verdicts_that_are_all_the_same_have_a_wide_interval(verdict: float, mean: float) -> None:
    """The estimate is beyond the scale: it is cut, and the interval is not cut to a point."""
    found = corrected_mean([verdict] * 200, [str(number // 5) for number in range(200)], GOOD)
    assert found is not None
    assert found.estimate == mean
    assert found.limit is None
    low, high = ends(found)
    assert 0.08 < high - low < 0.4
    assert mean in (low, high)


def test_one_odd_group_is_not_enough_for_the_bootstrap_but_for_an_interval() -> None:
    verdicts = [0.0] + [1.0] * 19
    groups = [str(number) for number in range(20)]
    assert mean_interval(verdicts, groups).limit is Limit.TOO_LITTLE_VARIATION
    found = corrected_mean(verdicts, groups, PERFECT)
    assert ends(found) == pytest.approx(exact_interval(19, 20), abs=0.01)
    assert found is not None
    assert "exact" in found.method


def test_means_over_repetitions_are_verdicts_too() -> None:
    found = corrected_mean([0.0, 1 / 3, 2 / 3, 1.0] * 10, [str(number // 2) for number in range(40)], GOOD)
    assert found is not None
    assert found.estimate == pytest.approx((0.5 + 0.86 - 1) / 0.76)


# --- where nothing can be said ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracy", "told"),
    [
        (JudgeAccuracy(50, 40, 50, 34), False),  # 0.48 over chance
        (JudgeAccuracy(10, 8, 10, 7), True),  # 0.5, whatever the last digit
        (JudgeAccuracy(4, 3, 4, 3), True),
        (JudgeAccuracy(50, 50, 50, 0), False),
        (JudgeAccuracy(0, 0, 50, 50), False),
        (JudgeAccuracy(50, 50, 0, 0), False),
    ],
)
def test_a_judge_that_cannot_tell_gets_no_corrected_mean(accuracy: JudgeAccuracy, told: bool) -> None:
    verdicts, groups = answers(0.6)
    assert accuracy.can_tell is told
    assert ("cannot tell" in accuracy.sentence) is not told
    assert (corrected_mean(verdicts, groups, accuracy) is not None) is told


def test_a_judge_that_was_shown_nothing_has_no_shares() -> None:
    nothing = JudgeAccuracy(0, 0, 0, 0)
    assert (nothing.sensitivity, nothing.specificity, nothing.over_chance) == (None, None, None)
    assert (nothing.sensitivity_interval, nothing.specificity_interval) == (None, None)
    assert nothing.sentence.startswith("no sensitivity without planted answers")


def test_too_few_groups_have_no_interval() -> None:
    found = corrected_mean([1.0, 0.0] * 10, ["a", "b"] * 10, GOOD)
    assert found is not None
    assert (found.low, found.high, found.limit) == (None, None, Limit.TOO_FEW_GROUPS)
    assert found.estimate == pytest.approx((0.5 + 0.86 - 1) / 0.76)
    assert found.standard_error is not None
    alone = corrected_mean([1.0, 0.0], ["a", "a"], GOOD)
    assert alone is not None
    assert alone.standard_error is None


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(5, 6, 5, 5), (5, 5, 5, 6), (5, -1, 5, 5), (-1, -1, 5, 5)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(InputError, match="cannot have called"):
        JudgeAccuracy(*counts)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_shares_that_cannot_be_are_refused(successes: int, n: int) -> None:
    with pytest.raises(InputError, match=f"{successes} of {n}"):
        exact_interval(successes, n)


@pytest.mark.parametrize(
    ("scores", "groups", "sentence"),
    [([], [], "no scores"), ([1.0], ["a", "b"], "2 groups"), ([0.0, 1.5], ["a", "b"], "from 0 to 1.5")],
)
def test_mistakes_are_named(scores: Any, groups: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        corrected_mean(scores, groups, GOOD)


# --- properties ---------------------------------------------------------------------------------------------------

judged = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([f"a{number}" for number in range(30)])),
    min_size=1,
    max_size=80,
)
accuracies = st.builds(
    lambda right, missed, wrong, taken: JudgeAccuracy(right, max(0, right - missed), wrong, max(0, wrong - taken)),
    st.integers(1, 60),
    st.integers(0, 10),
    st.integers(1, 60),
    st.integers(0, 10),
)


@given(judged, accuracies)
def test_the_interval_holds_the_estimate_and_stays_on_the_scale(
    rows: list[tuple[float, str]], accuracy: JudgeAccuracy
) -> None:
    verdicts, groups = zip(*rows, strict=True)
    found = corrected_mean(verdicts, groups, accuracy, resamples=200)
    assert (found is None) is not accuracy.can_tell
    if found is not None:
        assert (found.low is None) == (found.high is None) == (found.reason is not None)
        if found.low is not None and found.high is not None:
            assert 0 <= found.low <= found.estimate <= found.high <= 1
            assert found.low < found.high


@given(judged)
def test_a_perfect_judges_mean_is_the_raw_one(rows: list[tuple[float, str]]) -> None:
    verdicts, groups = zip(*rows, strict=True)
    found = corrected_mean(verdicts, groups, PERFECT, resamples=200)
    assert found is not None
    assert found.estimate == pytest.approx(np.mean(verdicts))


@given(judged, st.randoms())
def test_the_order_of_answers_is_of_no_account(rows: list[tuple[float, str]], shuffler: Any) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first, second = (
        corrected_mean(*zip(*order, strict=True), GOOD, resamples=200)  # type: ignore[arg-type]
        for order in (rows, shuffled)
    )
    assert first == second


# --- what a simulation says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.9, 0.85), (0.75, 0.95), (0.99, 0.99)])
def test_the_interval_covers_the_truth_as_often_as_it_says(sensitivity: float, specificity: float) -> None:
    """`benchmarks/judges.py` simulates more."""
    rng = np.random.default_rng(4)
    repetitions, covered, raw_covered = 600, 0, 0
    for seed in range(repetitions):
        group = rng.integers(48, size=300)
        right = rng.random(300) < rng.beta(14.25, 4.75, 48)[group]
        verdicts = np.where(right, rng.random(300) < sensitivity, rng.random(300) > specificity).astype(float)
        accuracy = JudgeAccuracy(50, rng.binomial(50, sensitivity), 50, rng.binomial(50, specificity))
        groups = [str(each) for each in group]
        found = corrected_mean(verdicts, groups, accuracy, resamples=499, seed=seed)
        if found is None:  # sensitivity 0.75: one calibration in some hundred
            repetitions -= 1
            continue
        low, high = ends(found)
        covered += low <= 0.75 <= high
        raw_low, raw_high = ends(mean_interval(verdicts, groups, resamples=499, seed=seed))
        raw_covered += raw_low <= 0.75 <= raw_high
    assert 0.925 <= covered / repetitions <= 0.98
    if sensitivity < 0.95:
        assert raw_covered / repetitions < 0.85
