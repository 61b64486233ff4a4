"""The boundaries are those of the published tables."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_eval.statistics.boundaries import boundaries, crossings, spent

EVEN = {looks: tuple(number / looks for number in range(1, looks + 1)) for looks in (2, 3, 4, 5, 10, 20)}

# Jennison and Turnbull, 2000, tables 2.1 (Pocock) and 2.3 (O'Brien and Fleming): two-sided tests.
POCOCK = {
    (2, 0.10): 1.875, (3, 0.10): 1.992, (4, 0.10): 2.067, (5, 0.10): 2.122, (10, 0.10): 2.270,
    (2, 0.05): 2.178, (3, 0.05): 2.289, (4, 0.05): 2.361, (5, 0.05): 2.413, (10, 0.05): 2.555,
    (2, 0.01): 2.772, (3, 0.01): 2.873, (4, 0.01): 2.939, (5, 0.01): 2.986, (10, 0.01): 3.117,
}  # fmt: skip
O_BRIEN_FLEMING = {
    (2, 0.10): 1.678, (3, 0.10): 1.710, (4, 0.10): 1.733, (5, 0.10): 1.751, (10, 0.10): 1.801,
    (2, 0.05): 1.977, (3, 0.05): 2.004, (4, 0.05): 2.024, (5, 0.05): 2.040, (10, 0.05): 2.087,
    (2, 0.01): 2.580, (3, 0.01): 2.595, (4, 0.01): 2.609, (5, 0.01): 2.621, (10, 0.01): 2.660,
}  # fmt: skip
# Lan and DeMets' function of the O'Brien-Fleming type, alpha 0.05 two-sided: Reboussin, DeMets, Kim and Lan, 2000,
# doi:10.1016/s0197-2456(00)00057-x.
LAN_DEMETS = {
    2: (2.963, 1.969),
    3: (3.710, 2.511, 1.993),
    4: (4.333, 2.963, 2.359, 2.014),
    5: (4.877, 3.357, 2.680, 2.290, 2.031),
}


@pytest.mark.parametrize(("design", "constant"), POCOCK.items())
def test_pocock_s_constants_cross_as_often_as_the_table_says(design: tuple[int, float], constant: float) -> None:
    looks, alpha = design
    assert crossings(EVEN[looks], [constant] * looks).sum() == pytest.approx(alpha, rel=0.003)


@pytest.mark.parametrize(("design", "constant"), O_BRIEN_FLEMING.items())
def test_o_brien_and_fleming_s_constants_do_too(design: tuple[int, float], constant: float) -> None:
    looks, alpha = design
    limits = [constant / math.sqrt(fraction) for fraction in EVEN[looks]]
    assert crossings(EVEN[looks], limits).sum() == pytest.approx(alpha, rel=0.004)


@pytest.mark.parametrize(("looks", "published"), LAN_DEMETS.items())
def test_the_boundaries_of_lan_and_demets(looks: int, published: tuple[float, ...]) -> None:
    assert boundaries(EVEN[looks], 0.05) == pytest.approx(published, abs=6e-4)


def test_power_of_a_published_design() -> None:
    # Five looks of O'Brien and Fleming reach a power of 0.9 with 1.026 times the information of a fixed sample
    # (Jennison and Turnbull, 2000, table 2.4), whose drift is 1.960 + 1.282.
    limits = [2.040 / math.sqrt(fraction) for fraction in EVEN[5]]
    found = crossings(EVEN[5], limits, drift=math.sqrt(1.026) * (1.95996 + 1.28155))
    assert found.sum() == pytest.approx(0.9, abs=0.001)


@given(
    fractions=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=8, unique=True).map(
        lambda several: tuple(sorted({*(round(each, 2) for each in several), 1.0}))
    ),
    alpha=st.sampled_from([0.05, 0.025, 0.05 / 3]),
)
def test_all_of_the_error_rate_is_spent_and_none_before_its_time(fractions: tuple[float, ...], alpha: float) -> None:
    crossed = crossings(fractions, boundaries(fractions, alpha)).sum(axis=1).cumsum()
    assert crossed == pytest.approx([spent(fraction, alpha) for fraction in fractions], abs=1e-6)
    assert crossed[-1] == pytest.approx(alpha, abs=1e-6)
