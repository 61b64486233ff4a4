"""How far a judge agrees with people: published values of kappa, and how often its interval covers."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_eval.errors import InputError
from qa_eval.statistics import Agreement, agreement, exact_interval

Table = Sequence[Sequence[int]]


def of_table(table: Table, names: str = "abc") -> Agreement:
    """The raters' labels written out: the judge's down, people's across."""
    pairs = [
        (names[row], names[column])
        for row, counts in enumerate(table)
        for column, count in enumerate(counts)
        for _ in range(count)
    ]
    judge, people = zip(*pairs, strict=True)
    return agreement(judge, people)


# --- known answers ------------------------------------------------------------------------------------------------

# The standard errors to more digits, and the third table's: statsmodels 0.14, `cohens_kappa`.
PUBLISHED = [
    # Cohen, 1968, "Weighted kappa", table 1: 0.492.
    ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.4915, 0.0510),
    # Fleiss, Levin and Paik, 2003, "Statistical Methods for Rates and Proportions", table 18.1: 0.68, 0.087.
    ([[75, 1, 4], [5, 4, 1], [0, 0, 10]], 0.6765, 0.0877),
    ([[20, 5], [10, 15]], 0.4, 0.1270),
]


@pytest.mark.parametrize(("table", "kappa", "error"), PUBLISHED)
def test_published_values_of_kappa_and_its_standard_error(table: Table, kappa: float, error: float) -> None:
    found = of_table(table)
    assert found.kappa == pytest.approx(kappa, abs=1e-4)
    assert found.kappa_low == pytest.approx(kappa - 1.96 * error, abs=2e-4)
    assert found.kappa_high == pytest.approx(kappa + 1.96 * error, abs=2e-4)


def test_the_share_has_its_exact_interval_and_the_table_its_counts() -> None:
    found = of_table([[20, 5], [10, 15]])
    assert (found.n, found.agreement) == (50, 0.7)
    assert (found.low, found.high) == pytest.approx(exact_interval(35, 50))
    assert found.confusion == {("a", "a"): 20, ("a", "b"): 5, ("b", "a"): 10, ("b", "b"): 15}
    assert json.loads(json.dumps(found.to_json()))["confusion"][1] == {"judge": "a", "people": "b", "answers": 5}
    assert "70 %" in found.sentence
    assert "kappa 0.40" in found.sentence
    assert [line.split() for line in found.table().splitlines()[1:]] == [["a", "20", "5"], ["b", "10", "15"]]


def test_a_confidence_of_90_percent_is_narrower() -> None:
    judge, people = list("aaabbbab") * 5, list("aabbbaab") * 5
    wide, narrow = agreement(judge, people), agreement(judge, people, confidence=0.9)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.kappa_low is not None
    assert narrow.kappa_low is not None
    assert wide.kappa_low < narrow.kappa_low


# --- edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "share", "kappa"),
    [
        ([[50, 0], [0, 40]], 1.0, 1.0),
        ([[0, 5], [5, 0]], 0.0, -1.0),
        ([[30, 20], [0, 0]], 0.6, 0.0),  # a judge with one label: no better than chance
    ],
)
def test_the_ends_of_kappa(table: Table, share: float, kappa: float) -> None:
    found = of_table(table)
    assert found.agreement == share
    assert found.kappa == pytest.approx(kappa)


def test_one_label_on_both_sides_has_no_kappa() -> None:
    found = agreement(["right"] * 8, ["right"] * 8)
    assert (found.agreement, found.kappa, found.kappa_low, found.kappa_high) == (1.0, None, None, None)
    assert found.low == pytest.approx(exact_interval(8, 8)[0])
    assert "no kappa" in found.sentence


@pytest.mark.parametrize(("judge", "people"), [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_labels_without_a_counterpart_are_refused(judge: list[str], people: list[str]) -> None:
    with pytest.raises(InputError, match="two labels for each answer"):
        agreement(judge, people)


# --- properties ---------------------------------------------------------------------------------------------------

pairs_of_labels = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=60)


@given(pairs_of_labels)
def test_kappa_is_at_most_the_agreement_and_within_its_interval(pairs: list[tuple[str, str]]) -> None:
    found = agreement(*zip(*pairs, strict=True))
    assert found.low <= found.agreement <= found.high
    assert sum(found.confusion.values()) == found.n == len(pairs)
    if found.kappa is not None and found.kappa_low is not None and found.kappa_high is not None:
        assert -1 - 1e-9 <= found.kappa_low <= found.kappa <= found.kappa_high <= 1 + 1e-9
        assert found.kappa <= found.agreement + 1e-9


@given(pairs_of_labels, st.randoms(use_true_random=False))
def test_neither_order_nor_names_nor_roles_count(pairs: list[tuple[str, str]], shuffler: random.Random) -> None:
    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    found, again = agreement(*zip(*pairs, strict=True)), agreement(*zip(*shuffled, strict=True))
    assert (again.confusion, again.low, again.high) == (found.confusion, found.low, found.high)
    assert again.kappa == (None if found.kappa is None else pytest.approx(found.kappa))
    assert again.kappa_low == (None if found.kappa_low is None else pytest.approx(found.kappa_low, abs=1e-7))
    turned = agreement([people.upper() for _, people in pairs], [judge.upper() for judge, _ in pairs])
    assert turned.agreement == found.agreement
    assert turned.kappa == (None if found.kappa is None else pytest.approx(found.kappa))


# --- what a simulation says ---------------------------------------------------------------------------------------


def test_the_interval_of_kappa_covers_as_often_as_it_says() -> None:
    """People say right to 60 %; the judge agrees with 85 % of both: agreement 0.85, by chance 0.514."""
    rng = np.random.default_rng(8)
    said_right = 0.6 * 0.85 + 0.4 * 0.15
    chance = 0.6 * said_right + 0.4 * (1 - said_right)
    truth = (0.85 - chance) / (1 - chance)
    covered, repetitions = 0, 1500
    for _ in range(repetitions):
        people = rng.random(100) < 0.6
        judge = people ^ (rng.random(100) < 0.15)
        found = agreement([str(each) for each in judge], [str(each) for each in people])
        assert found.kappa_low is not None
        assert found.kappa_high is not None
        covered += found.kappa_low <= truth <= found.kappa_high
    assert 0.925 <= covered / repetitions <= 0.975
