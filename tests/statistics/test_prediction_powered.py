"""Many verdicts and a few labels: the mean is people's, whatever the judge, and its interval covers as it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from qa_eval.errors import InputError
from qa_eval.statistics import MIN_LABELS, Estimate, Limit, mean_interval, prediction_powered_mean

Floats = npt.NDArray[np.float64]


def ends(found: Estimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def width(found: Estimate) -> float:
    low, high = ends(found)
    return high - low


def world(
    rng: np.random.Generator, n: int = 300, groups: int = 48, sensitivity: float = 0.9, specificity: float = 0.85
) -> tuple[Floats, Floats, list[str]]:
    """What people would say of each answer (0.75 are right), the judge's verdicts, and the groups."""
    group = rng.integers(groups, size=n)
    right = rng.random(n) < rng.beta(14.25, 4.75, groups)[group]
    verdicts = np.where(right, rng.random(n) < sensitivity, rng.random(n) > specificity)
    return right.astype(float), verdicts.astype(float), [f"group {each}" for each in group]


def named(verdicts: Floats) -> list[str]:
    return ["right" if verdict else "wrong" for verdict in verdicts]


def drawn(rng: np.random.Generator, right: Floats, verdicts: Floats, count: int) -> dict[int, float]:
    """Labels drawn at random within each verdict, half of them of either."""
    places = [
        place
        for verdict in (0.0, 1.0)
        for place in rng.permutation(np.flatnonzero(verdicts == verdict))[: count // 2].tolist()
    ]
    return {place: float(right[place]) for place in places}


# --- known answers ------------------------------------------------------------------------------------------------


def test_the_estimate_weighs_what_people_say_of_each_verdict() -> None:
    """70 said right, of which 8 of 10 are; 30 said wrong, of which 3 of 10 are right."""
    verdicts = np.repeat([1.0, 0.0], [70, 30])
    labels = {place: float(place < 8) for place in range(10)} | {70 + place: float(place < 3) for place in range(10)}
    groups = [str(number % 20) for number in range(100)]
    found = prediction_powered_mean(verdicts, groups, labels, named(verdicts))
    assert found.estimate == pytest.approx(0.7 * 0.8 + 0.3 * 0.3)
    assert (found.n, found.groups, found.limit) == (100, 20, None)
    # Labels weigh most: the error is near that of a stratified sample.
    stratified = math.sqrt(0.7**2 * 0.8 * 0.2 / 9 + 0.3**2 * 0.3 * 0.7 / 9)
    assert found.standard_error == pytest.approx(stratified, rel=0.2)


def test_the_estimate_without_strata_is_prediction_powered_inferences() -> None:
    """The judge's mean over all, plus the labels' mean residual; a scale of more values than could be strata."""
    rng = np.random.default_rng(1)
    judged, people = rng.random(200), rng.random(200)
    labels = {place: float(people[place]) for place in range(0, 200, 5)}
    found = prediction_powered_mean(judged, [str(number % 25) for number in range(200)], labels)
    residual = np.mean([people[place] - judged[place] for place in labels])
    assert found.estimate == pytest.approx(judged.mean() + residual)


def test_labels_of_all_answers_are_people_alone() -> None:
    right, verdicts, groups = world(np.random.default_rng(2), 400)
    labels = dict(enumerate(right.tolist()))
    found, alone = prediction_powered_mean(verdicts, groups, labels, named(verdicts)), mean_interval(right, groups)
    assert found.estimate == pytest.approx(right.mean())
    assert found.standard_error == pytest.approx(alone.standard_error, rel=0.01)
    assert ends(found) == pytest.approx(ends(alone), abs=0.01)


def test_labels_in_groups_of_their_own_give_jeffreys_interval() -> None:
    """One verdict for all, one answer in each group: the posterior of 24 right in 30, but for what few groups need."""
    groups = [str(number) for number in range(5000)]
    labels = {place: float(place < 24) for place in range(30)}
    found = prediction_powered_mean(np.ones(5000), groups, labels)
    assert ends(found) == pytest.approx(stats.beta(24.5, 6.5).ppf([0.025, 0.975]), abs=0.012)


def test_a_good_judge_makes_the_interval_narrow_and_a_coin_does_not() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for sensitivity, specificity in ((0.97, 0.97), (0.5, 0.5)):
        right, verdicts, groups = world(rng, 1000, 48, sensitivity, specificity)
        labels = drawn(rng, right, verdicts, 100)
        widths.append(width(prediction_powered_mean(verdicts, groups, labels, named(verdicts))))
    alone = width(mean_interval(right[:100], groups[:100]))
    assert widths[0] < 0.7 * alone
    assert widths[1] == pytest.approx(alone, rel=0.25)


def test_a_biased_judge_does_not_move_the_estimate() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        right, verdicts, groups = world(rng, sensitivity=0.6, specificity=0.95)
        labels = drawn(rng, right, verdicts, 60)
        found.append(prediction_powered_mean(verdicts, groups, labels, named(verdicts), resamples=10).estimate)
    assert np.mean(found) == pytest.approx(0.75, abs=0.015)


# --- edges --------------------------------------------------------------------------------------------------------


def test_judge_and_people_who_agree_are_no_certainty() -> None:
    right, _, groups = world(np.random.default_rng(5), 500)
    labels = {place: float(right[place]) for place in range(30)}
    found = prediction_powered_mean(right, groups, labels, named(right))
    assert found.estimate == pytest.approx(right.mean())
    assert width(found) > 1.5 * width(mean_interval(right, groups))


def test_verdicts_and_labels_that_are_all_the_same_have_an_interval() -> None:
    groups = [str(number // 5) for number in range(200)]
    low, high = ends(prediction_powered_mean(np.ones(200), groups, dict.fromkeys(range(30), 1.0)))
    assert high == 1.0
    assert 0.88 < low < 0.98
    nothing = prediction_powered_mean(np.ones(200), groups, dict.fromkeys(range(30), 1.0), bounds=(-math.inf, math.inf))
    assert (nothing.low, nothing.limit) == (None, Limit.NO_VARIATION)


def test_verdicts_without_a_label_leave_their_mean_open() -> None:
    """30 % were said to be wrong, and of these nothing is known."""
    verdicts = np.repeat([1.0, 0.0], [140, 60])
    groups = [str(number % 25) for number in range(200)]
    found = prediction_powered_mean(verdicts, groups, dict.fromkeys(range(30), 1.0), named(verdicts))
    low, high = ends(found)
    assert low < 0.71
    assert high > 0.97


def test_verdicts_with_one_label_each_are_taken_together() -> None:
    """Apart, each of the 40 would count as half known, and the mean would be drawn to the middle: 0.75."""
    verdicts = [f"verdict {number % 40}" for number in range(360)]
    groups = [str(number // 9) for number in range(360)]
    low, high = ends(prediction_powered_mean(np.ones(360), groups, dict.fromkeys(range(40), 1.0), verdicts))
    assert low > 0.88
    assert high == 1.0


def test_any_scale_will_do() -> None:
    rng = np.random.default_rng(6)
    people = 1.0 + rng.binomial(4, 0.7, 400)
    judged = np.clip(people + rng.integers(-1, 2, 400), 1, 5)
    groups = [str(number % 30) for number in range(400)]
    labels = {place: float(people[place]) for place in range(60)}
    found = prediction_powered_mean(judged, groups, labels, bounds=(1, 5))
    low, high = ends(found)
    assert 1 < low < people.mean() < high < 5
    open_ended = prediction_powered_mean(judged, groups, labels, bounds=(-math.inf, math.inf))
    assert ends(open_ended) == (low, high)
    shifted = prediction_powered_mean(
        (judged - 1) / 4, groups, {place: (value - 1) / 4 for place, value in labels.items()}
    )
    assert ends(shifted) == pytest.approx(((low - 1) / 4, (high - 1) / 4))


def test_too_few_groups_have_no_interval() -> None:
    found = prediction_powered_mean(np.tile([1.0, 0.0], 50), ["a", "b", "c", "d"] * 25, dict.fromkeys(range(30), 1.0))
    assert (found.low, found.high, found.limit) == (None, None, Limit.TOO_FEW_GROUPS)
    assert found.reason is not None


def test_thousands_of_groups_are_merged() -> None:
    right, verdicts, _ = world(np.random.default_rng(7), 6000, 6000)
    labels = {place: float(right[place]) for place in range(100)}
    found = prediction_powered_mean(verdicts, [str(each) for each in range(6000)], labels, named(verdicts))
    assert found.groups == 6000
    assert width(found) == pytest.approx(3.92 * (found.standard_error or 0), rel=0.2)


# --- mistakes -----------------------------------------------------------------------------------------------------

ENOUGH = dict.fromkeys(range(10), 1.0)


@pytest.mark.parametrize(
    ("judged", "labels", "strata", "sentence"),
    [
        ([1.0] * 20, dict.fromkeys(range(MIN_LABELS - 1), 1.0), None, "There are 9 labels"),
        ([1.0] * 20, ENOUGH | {20: 1.0}, None, "answer 20 of 0 to 19"),
        ([1.0] * 20, ENOUGH | {-1: 1.0}, None, "answer -1"),
        ([1.0] * 20, ENOUGH, ["right"] * 19, "20 answers and 19 strata"),
        ([1.0] * 20, ENOUGH | {3: 1.5}, None, "value 1.5 is not on the scale of 0 to 1"),
        ([1.0] * 20, ENOUGH | {3: math.nan}, None, "value nan"),
        ([1.0] * 19 + [-0.5], ENOUGH, None, "value -0.5"),
        ([1.0] * 19 + [math.nan], ENOUGH, None, "Score 20 of 20"),
        ([1.0] * 19, ENOUGH, None, "19 scores and 20 groups"),
    ],
)
def test_mistakes_are_named(judged: Any, labels: Any, strata: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        prediction_powered_mean(judged, [str(number) for number in range(20)], labels, strata)


# --- properties ---------------------------------------------------------------------------------------------------

rows_of_answers = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1.0]),
        st.sampled_from([0.0, 0.25, 1.0, None]),
        st.sampled_from([f"a{number}" for number in range(30)]),
    ),
    min_size=30,
    max_size=90,
).filter(lambda rows: sum(label is not None for _, label, _ in rows) >= MIN_LABELS)


def of_rows(rows: list[tuple[float, float | None, str]], resamples: int = 200) -> Estimate:
    judged, given_labels, groups = zip(*rows, strict=True)
    labels = {place: label for place, label in enumerate(given_labels) if label is not None}
    return prediction_powered_mean(judged, groups, labels, [str(value) for value in judged], resamples=resamples)


@given(rows_of_answers)
def test_the_interval_holds_the_estimate_and_stays_on_the_scale(rows: list[tuple[float, float | None, str]]) -> None:
    found = of_rows(rows)
    assert (found.low is None) == (found.high is None) == (found.reason is not None)
    assert 0 <= found.estimate <= 1
    if found.low is not None and found.high is not None:
        assert 0 <= found.low <= found.estimate <= found.high <= 1
        assert found.low < found.high


@given(rows_of_answers, st.randoms())
def test_the_order_of_answers_is_of_no_account(rows: list[tuple[float, float | None, str]], shuffler: Any) -> None:
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    first, second = of_rows(rows), of_rows(shuffled)
    assert second.estimate == pytest.approx(first.estimate)
    assert (second.low is None) == (first.low is None)
    if first.low is not None:
        assert ends(second) == pytest.approx(ends(first))


# --- what a simulation says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30, 100])
def test_the_interval_covers_the_truth_as_often_as_it_says(count: int) -> None:
    """`benchmarks/judges.py` simulates more."""
    rng = np.random.default_rng(count)
    repetitions, covered = 600, 0
    for seed in range(repetitions):
        right, verdicts, groups = world(rng)
        labels = drawn(rng, right, verdicts, count)
        found = prediction_powered_mean(verdicts, groups, labels, named(verdicts), resamples=499, seed=seed)
        low, high = ends(found)
        covered += low <= 0.75 <= high
    assert 0.925 <= covered / repetitions <= 0.98
