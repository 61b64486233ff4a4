"""How far the corrections of a judge's mean can be trusted: how often their intervals cover the truth, and how wide.

A judge of known sensitivity and specificity gives verdicts on answers of which a known share is right, 75 %. How many
are right differs by group (standard deviation 0.1), and groups are of uneven size (lognormal, standard deviation of the
logarithm 0.6). Each repetition draws groups, answers and verdicts anew, so the truth is that of the population from
which groups come, not of the sample.

    python benchmarks/judges.py [--repetitions 2000]    exit code 1 where a coverage is out of bounds

Bounds: the 95 % interval covers the truth in 93 to 97 % of the repetitions in every line, for
    the mean corrected by 50 planted right and 50 planted wrong answers (`corrected_mean`);
    the mean by people's labels of a few answers (`prediction_powered_mean`), drawn at random within each verdict, in
    proportion but at least two, as `qa-eval label export` draws them.
Beside them, for comparison: the judge's mean as it is, and the mean of as many labels without a judge, drawn at random
from all answers.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import Pool

import numpy as np
import numpy.typing as npt

from qa_eval.statistics import Estimate, mean_interval
from qa_eval.statistics.misclassification import JudgeAccuracy, corrected_mean
from qa_eval.statistics.prediction_powered import prediction_powered_mean

JUDGES = ((0.90, 0.85), (0.75, 0.95))
"""Sensitivity, specificity."""
QUESTIONS = (100, 300, 1000)
GROUPS = (20, 48)
LABELS = (30, 50, 100)
PLANTED = 50
TRUTH = 0.75
EASY = (14.25, 4.75)
"""The Beta distribution of the groups' shares of right answers."""
RESAMPLES = 999
"""In place of 10,000: quicker, and the quantiles hardly move."""
BOUNDS = (0.93, 0.97)
PROCESSES = 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is judged, and by what."""

    sensitivity: float
    specificity: float
    questions: int
    groups: int

    def __str__(self) -> str:
        return f"{self.sensitivity:11.2f}  {self.specificity:11.2f}  {self.questions:9}  {self.groups:6}"


@dataclass(frozen=True)
class Sample:
    """All of length n."""

    right: Floats
    """1 for the answers that are right."""
    verdicts: Floats
    """1 for those that the judge calls right."""
    groups: list[str]


@dataclass(frozen=True)
class Rate:
    """What became of one kind of interval."""

    covered: float
    """How often it covers the truth where there is one."""
    width: float
    """Its mean."""
    given: float
    """How often there is one."""

    @property
    def good(self) -> bool:
        return BOUNDS[0] <= self.covered <= BOUNDS[1]

    def __str__(self) -> str:
        return f"{self.covered:7.1%}  {self.width:5.3f}"


def draw(world: World, rng: np.random.Generator) -> Sample:
    """Groups, answers and verdicts."""
    sizes = rng.lognormal(0.0, 0.6, world.groups)
    group = rng.choice(world.groups, world.questions, p=sizes / sizes.sum())
    right = rng.random(world.questions) < rng.beta(*EASY, world.groups)[group]
    said = np.where(right, world.sensitivity, 1 - world.specificity)
    verdicts = rng.random(world.questions) < said
    return Sample(right.astype(float), verdicts.astype(float), [str(each) for each in group])


def sheet(verdicts: Floats, count: int, rng: np.random.Generator) -> list[int]:
    """Which answers are labelled: at random within each verdict."""
    chosen: list[int] = []
    for verdict in (0.0, 1.0):
        places = rng.permutation(np.flatnonzero(verdicts == verdict))
        chosen += places[: max(2, round(count * len(places) / len(verdicts)))].tolist()
    return chosen


def repetition(world: World, number: int) -> dict[str, tuple[float, float]]:
    """The ends of each kind of interval, NaN where there is none, of one sample."""
    rng = np.random.default_rng([number, world.questions, world.groups, round(100 * world.sensitivity)])
    sample = draw(world, rng)
    accuracy = JudgeAccuracy(
        right=PLANTED,
        said_right=int(rng.binomial(PLANTED, world.sensitivity)),
        wrong=PLANTED,
        said_wrong=int(rng.binomial(PLANTED, world.specificity)),
    )
    found = {
        "raw": mean_interval(sample.verdicts, sample.groups, resamples=RESAMPLES, bounds=(0, 1)),
        "corrected": corrected_mean(sample.verdicts, sample.groups, accuracy, resamples=RESAMPLES),
    }
    strata = ["right" if verdict else "wrong" for verdict in sample.verdicts]
    for count in LABELS:
        labels = {place: float(sample.right[place]) for place in sheet(sample.verdicts, count, rng)}
        found[f"powered {count}"] = prediction_powered_mean(
            sample.verdicts, sample.groups, labels, strata, resamples=RESAMPLES
        )
        alone = rng.permutation(world.questions)[:count]
        groups = [sample.groups[place] for place in alone]
        found[f"people {count}"] = mean_interval(sample.right[alone], groups, resamples=RESAMPLES, bounds=(0, 1))
    return {name: _ends(estimate) for name, estimate in found.items()}


def _ends(estimate: Estimate | None) -> tuple[float, float]:
    if estimate is None or estimate.low is None or estimate.high is None:
        return math.nan, math.nan
    return estimate.low, estimate.high


def rates(repetitions: Sequence[dict[str, tuple[float, float]]]) -> dict[str, Rate]:
    """How often each kind of interval covers the truth, and how wide it is."""
    return {name: _rate([each[name] for each in repetitions]) for name in repetitions[0]}


def _rate(ends: Iterable[tuple[float, float]]) -> Rate:
    every = np.array(list(ends))
    low, high = every[~np.isnan(every[:, 0])].T
    return Rate(float(np.mean((low <= TRUTH) & (high >= TRUTH))), float(np.mean(high - low)), len(low) / len(every))


def tables(found: dict[World, dict[str, Rate]]) -> bool:
    """Print both; whether all coverages are within bounds."""
    good = True
    head = "sensitivity  specificity  questions  groups"
    print(f"\n{PLANTED} + {PLANTED} planted answers: coverage and mean width of the 95 % intervals")
    print(f"{head}        corrected       judge alone")
    for world, of in found.items():
        good = good and of["corrected"].good
        print(f"{world}  {of['corrected']}    {of['raw']}{_remark(of['corrected'])}")
    print("\npeople's labels: coverage and mean width of the 95 % intervals")
    print(f"{head}  labels  judge and people      people alone       judge alone")
    for world, of in found.items():
        for count in LABELS:
            powered = of[f"powered {count}"]
            good = good and powered.good
            print(f"{world}  {count:6}    {powered}    {of[f'people {count}']}    {of['raw']}{_remark(powered)}")
    return good


def _remark(rate: Rate) -> str:
    missing = "" if rate.given == 1 else f"  no interval in {1 - rate.given:.1%}"
    return missing + ("" if rate.good else "  OUT OF BOUNDS")


def main() -> int:
    """Simulate every world and print what came of it."""
    parser = argparse.ArgumentParser(description="Simulate how often the intervals of corrected judges cover.")
    parser.add_argument("--repetitions", type=int, default=2000)
    count = parser.parse_args().repetitions
    start = time.perf_counter()
    found: dict[World, dict[str, Rate]] = {}
    with Pool(PROCESSES) as pool:
        for judge, questions, groups in product(JUDGES, QUESTIONS, GROUPS):
            world = World(*judge, questions, groups)
            found[world] = rates(pool.map(partial(repetition, world), range(count), chunksize=25))
    good = tables(found)
    within = "within bounds" if good else "OUT OF BOUNDS"
    print(f"\n{within}: {count} repetitions, {time.perf_counter() - start:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
