"""Looks at a paired comparison: what they settle, and what is said at the end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from qa_eval.statistics import Decision, SequentialDesign, planned_looks

Floats = npt.NDArray[np.float64]


def scores(groups: int, difference: float, seed: int, each: int = 5) -> tuple[Floats, Floats, list[str]]:
    """Two systems' scores of 0 to 1, the second better by so much on average."""
    rng = np.random.default_rng(seed)
    names = [str(group) for group in range(groups) for _ in range(each)]
    lean = np.repeat(rng.normal(0.0, 0.05, groups), each)
    baseline = (rng.random(groups * each) < 0.5 + lean).astype(np.float64)
    flips = rng.random(groups * each)
    candidate = np.where(flips < 0.2, (rng.random(groups * each) < 0.5 + lean + 2.5 * difference), baseline)
    return baseline, np.where(flips < 0.4, (rng.random(len(flips)) < 0.5 + lean + 2.5 * difference), candidate), names


def upto(sample: tuple[Floats, Floats, list[str]], groups: int) -> tuple[Floats, Floats, list[str]]:
    count = groups * len(sample[2]) // len(set(sample[2]))
    return sample[0][:count], sample[1][:count], sample[2][:count]


def test_a_design_of_one_look_is_the_usual_t_interval() -> None:
    sample = scores(60, 0.05, seed=1)
    look = SequentialDesign((60,)).look(1, *sample)
    means = (sample[1] - sample[0]).reshape(60, 5).mean(axis=1)
    reach = 2.0010 * means.std(ddof=1) / np.sqrt(60)
    assert (look.low, look.high) == pytest.approx((means.mean() - reach, means.mean() + reach), abs=1e-5)
    end = SequentialDesign((60,)).estimate(1, *sample)
    assert (end.low, end.high) == pytest.approx((look.low, look.high), abs=1e-5)


def test_a_clear_difference_is_settled_before_the_end_in_its_own_direction() -> None:
    design = SequentialDesign(planned_looks(60, 5))
    sample = scores(60, 0.3, seed=2)
    better, worse = upto(sample, 36), (upto(sample, 36)[1], upto(sample, 36)[0], upto(sample, 36)[2])
    assert design.look(3, *better).decide(0.02) is Decision.HIGHER
    assert design.look(3, *worse).decide(0.02) is Decision.LOWER


def test_interval_p_value_and_boundary_agree_at_every_look() -> None:
    design = SequentialDesign(planned_looks(40, 4))
    for seed in range(24):
        sample = scores(40, 0.08 * (seed % 3), seed)
        for number, groups in enumerate(design.looks, 1):
            seen = upto(sample, groups)
            look, end = design.look(number, *seen), design.estimate(number, *seen)
            if end.low is None or end.high is None:
                continue
            if not look.crossed and number < 4:
                assert end.p_value == 1.0, "nothing is decided"
                continue
            # The sign-flip test may be stricter than the t statistic, never the other way round.
            assert end.p_value > 0.05 or not end.low <= 0.0 <= end.high
            if look.crossed:
                assert end.p_value <= 0.05
                break


def test_a_repeated_interval_within_the_margin_settles_that_there_is_no_such_difference() -> None:
    design = SequentialDesign(planned_looks(300, 5))
    sample = scores(300, 0.0, seed=4)
    decisions = [design.look(number, *upto(sample, seen)).decide(0.15) for number, seen in enumerate(design.looks, 1)]
    assert decisions[0] is None, "an early look alone cannot say so"
    assert Decision.EQUIVALENT in decisions


def test_systems_that_answer_alike_are_settled_as_far_as_their_number_allows() -> None:
    design = SequentialDesign(planned_looks(300, 5), bounds=(0.0, 1.0))
    same = scores(300, 0.0, seed=5)
    same = (same[0], same[0], same[2])
    assert design.look(1, *upto(same, 60)).decide(0.02) is None
    assert design.look(5, *same).decide(0.02) is Decision.EQUIVALENT
    assert design.look(5, *same).decide(0.005) is None
    end = design.estimate(5, *same)
    assert end.p_value == 1.0
    assert end.low is not None
    assert end.low < 0.0


def test_a_candidate_that_fails_everywhere_is_settled_at_the_first_look() -> None:
    design = SequentialDesign(planned_looks(100, 5), bounds=(0.0, 1.0))
    groups = [str(each) for each in range(20)]
    assert design.look(1, np.ones(20), np.zeros(20), groups).decide(0.02) is None, "20 groups could be chance"
    groups = [str(each) for each in range(40)]
    assert design.look(2, np.ones(40), np.zeros(40), groups).decide(0.02) is Decision.LOWER


def test_too_few_groups_settle_nothing() -> None:
    sample = scores(7, 0.4, seed=6)
    look = SequentialDesign((7, 40)).look(1, *sample)
    assert (look.low, look.high, look.crossed) == (None, None, False)
    assert look.decide(1.0) is None


def test_looks_are_evenly_spaced_and_leave_out_what_could_say_nothing() -> None:
    assert planned_looks(300, 5) == (60, 120, 180, 240, 300)
    assert planned_looks(48, 5) == (10, 20, 29, 39, 48)
    assert planned_looks(20, 5) == (8, 12, 16, 20)
    assert planned_looks(8, 5) == (8,)


def test_false_alarms_and_coverage_of_a_small_design() -> None:
    # Few repetitions with wide limits: `benchmarks/stopping.py` measures them closely.
    design = SequentialDesign(planned_looks(30, 3), bounds=(0.0, 1.0))
    alarms, covered = 0, 0
    for seed in range(200):
        sample = scores(30, 0.0, seed)
        for number, seen in enumerate(design.looks, 1):
            decision = design.look(number, *upto(sample, seen)).decide(0.1)
            if decision is not None:
                break
        alarms += decision in (Decision.HIGHER, Decision.LOWER)
        end = design.estimate(number, *upto(sample, seen))
        covered += end.low is not None and end.high is not None and end.low <= 0.0 <= end.high
    assert alarms <= 0.09 * 200
    assert covered >= 0.91 * 200
