"""What an early stop costs and saves: false alarms, power, coverage and questions asked, by simulation.

The populations are the scores of two published systems on SQuAD v1.1's development set, in articles drawn with
replacement, and made scores in 20, 48 and 300 groups of uneven size. Baseline and candidate are mixtures of a strong
and a weak system: for each question a coin says which of the two each of them gets. A fair coin makes them
interchangeable; a coin that leans makes a difference of known size, and it leans by group, so that the questions of a
group are alike. The five looks of the default design are taken in the order in which the groups were drawn.

    python benchmarks/stopping.py [repetitions]     exit code 1 where a rate is out of bounds

Two sizes of sample are simulated: one that shows the planned difference with a power of about 80 %, and one that can
also show that there is none of that size: the standard error of its difference is 1 / 4.5 of the planned difference.
Bounds: false alarms at most 5 %, power within 2 points of the design without looks, coverage 93 to 97 %; of the second
size, asked at most 70 % at no difference, 75 % at the planned difference, 40 % at twice that.

`evalsig` (pip install evalsig) is an always-valid method: a confidence sequence, read after each group as its `watch`
does, on questions that count as independent. It ends by the same rules. Data: `$QA_EVAL_SHARED_DATA`, else
`../shared/data` from the project's root.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import numpy.typing as npt

from qa_eval.analysis.observations import from_predictions
from qa_eval.data import load_dataset
from qa_eval.statistics.sequential import Decision, Look, SequentialDesign, planned_looks

try:
    from evalsig import confidence_sequence  # type: ignore[import-not-found]
except ImportError:
    confidence_sequence = None

LOOKS = 5
FACTORS = {"shows D": 2.9, "decides D": 4.5}
"""The planned difference D in standard errors of the whole sample's difference."""
ASKED = {0: 0.70, 1: 0.75, 2: 0.40}
"""Bounds for the share of the questions, by the true difference in multiples of D."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Both systems' scores, in the order of the groups."""

    baseline: Floats
    candidate: Floats
    sizes: npt.NDArray[np.intp]
    """Questions of each group."""

    def upto(self, groups: int) -> tuple[Floats, Floats, list[str]]:
        """The scores of the first groups."""
        count = int(self.sizes[:groups].sum())
        names = np.repeat(np.arange(groups), self.sizes[:groups])
        return self.baseline[:count], self.candidate[:count], [str(name) for name in names]


@dataclass(frozen=True)
class Population:
    """Where samples come from."""

    name: str
    groups: int
    draw: Callable[[np.random.Generator], tuple[Floats, Floats, npt.NDArray[np.intp]]]
    """The strong and the weak system's scores of a sample, and the groups' sizes."""
    gap: float
    """The two systems' mean difference."""
    tilt: float
    """Standard deviation of the coin's lean by group."""

    def sample(self, difference: float, rng: np.random.Generator) -> Sample:
        """A sample of two runs that truly differ by so much."""
        strong, weak, sizes = self.draw(rng)
        lean = np.repeat(rng.normal(difference / self.gap / 2, self.tilt, len(sizes)), sizes)
        heads = rng.random(len(strong)) < np.clip(0.5 + lean, 0, 1)
        return Sample(np.where(heads, weak, strong), np.where(heads, strong, weak), sizes)


def published(folder: Path, questions: int = 1000) -> Population:
    """The development set: 48 articles, so many questions a sample."""
    dataset = load_dataset(folder / "dev-v1.1.json", examples=None)
    systems = [
        from_predictions(name, json.loads((folder / "predictions" / f"{name}-v1.1.json").read_text()), dataset)
        for name in ("bert-ensemble", "logistic-regression")
    ]
    strong, weak = (np.array([item.scores["f1"] for item in system.items.values()]) for system in systems)
    names = np.array([item.question.group for item in systems[0].items.values()])
    articles = [np.flatnonzero(names == name) for name in dict.fromkeys(names)]
    share = questions / len(names)

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
        drawn = [articles[number] for number in rng.integers(len(articles), size=len(articles))]
        kept = [rng.permutation(each)[: max(1, round(share * len(each)))] for each in drawn]
        chosen = np.concatenate(kept)
        return strong[chosen], weak[chosen], np.array([len(each) for each in kept])

    return Population("published", len(articles), draw, float(np.mean(strong - weak)), 0.08)


def made(groups: int, questions: int) -> Population:
    """Scores as F1 has them: the strong system is better on 60 % of the questions, on half of these by 1."""
    rng = np.random.default_rng(groups)
    pool = np.where(rng.random(100_000) < 0.6, np.where(rng.random(100_000) < 0.5, 1.0, rng.random(100_000)), 0.0)

    def draw(rng: np.random.Generator) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
        sizes = np.maximum(1, np.round(rng.lognormal(np.log(questions), 0.6, groups))).astype(np.intp)
        strong = rng.choice(pool, sizes.sum())
        return strong, np.zeros(len(strong)), sizes

    return Population("made", groups, draw, float(pool.mean()), 0.05)


@dataclass(frozen=True)
class Ended:
    """Where one simulated run ended."""

    decision: Decision | None
    asked: float
    """Share of the questions."""
    covered: bool
    """Whether its interval holds the true difference."""
    fixed: bool
    """Whether the design without looks, on the whole sample, shows a difference."""


def run(sample: Sample, margin: float, truth: float) -> Ended:
    """Take the looks until one decides."""
    design = SequentialDesign(planned_looks(len(sample.sizes), LOOKS), bounds=(0.0, 1.0))
    for number, groups in enumerate(design.looks, start=1):
        scores = sample.upto(groups)
        decision = design.look(number, *scores).decide(margin)
        if decision is not None or groups == len(sample.sizes):
            break
    found = design.estimate(number, *scores)
    whole = SequentialDesign((len(sample.sizes),), bounds=(0.0, 1.0)).look(1, *sample.upto(len(sample.sizes)))
    covered = found.low is None or found.high is None or found.low <= truth <= found.high
    return Ended(decision, len(scores[0]) / len(sample.baseline), covered, whole.crossed)


def always_valid(sample: Sample, margin: float, truth: float) -> Ended:
    """The rival, read after each group."""
    assert confidence_sequence is not None, "asked before"
    ends = np.cumsum(sample.sizes)
    differences = sample.candidate - sample.baseline
    for end in ends[1:]:
        found = confidence_sequence(differences[:end])
        low, high = found.ci
        decision = Look(found.delta, low, high, crossed=not low <= 0 <= high).decide(margin)
        if decision is not None:
            break
    return Ended(decision, end / len(differences), low <= truth <= high, fixed=False)


@dataclass(frozen=True)
class Rates:
    """How often something happened, at one true difference."""

    differs: float
    """A difference was found."""
    right: float
    """It was found in the right direction."""
    fixed: float
    asked: float
    covered: float

    @classmethod
    def of(cls, ended: Sequence[Ended]) -> Rates:
        """Count."""
        return cls(
            fmean(each.decision in (Decision.HIGHER, Decision.LOWER) for each in ended),
            fmean(each.decision is Decision.HIGHER for each in ended),
            fmean(each.fixed for each in ended),
            fmean(each.asked for each in ended),
            fmean(each.covered for each in ended),
        )


def simulate(population: Population, factor: float, repetitions: int) -> Iterator[tuple[int, Rates, Rates | None]]:
    """By the true difference in multiples of the planned one: our rates, and the rival's where it is installed."""
    rng = np.random.default_rng([population.groups, round(10 * factor)])
    pilots = (population.sample(0.0, rng) for _ in range(400))
    margin = factor * stdev(float(np.mean(pilot.candidate - pilot.baseline)) for pilot in pilots)
    for multiple in ASKED:
        truth = multiple * margin
        samples = [population.sample(truth, rng) for _ in range(repetitions)]
        rival = None
        if confidence_sequence is not None:
            rival = Rates.of([always_valid(sample, margin, truth) for sample in samples])
        yield multiple, Rates.of([run(sample, margin, truth) for sample in samples]), rival


def problems(multiple: int, rates: Rates, *, decides: bool) -> list[str]:
    """The bounds that a line misses."""
    found = []
    if multiple == 0 and rates.differs > 0.05:
        found.append("false alarms")
    if multiple > 0 and rates.right < rates.fixed - 0.02:
        found.append("power")
    if not 0.93 <= rates.covered <= 0.97:
        found.append("coverage")
    if decides and rates.asked > ASKED[multiple]:
        found.append("asked")
    return found


def main() -> int:
    """Simulate, and print a line a population, sample size and true difference."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    folder = Path(os.environ.get("QA_EVAL_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data") / "squad"
    print(f"{repetitions} repetitions a line, {LOOKS} looks; D is the planned difference")
    print(
        "population  groups  sample     truth  differs  without looks  asked  covered"
        " | evalsig: differs  asked  covered"
    )
    good, start = True, time.perf_counter()
    for population in (published(folder), made(20, 80), made(48, 30), made(300, 10)):
        for label, factor in FACTORS.items():
            for multiple, rates, rival in simulate(population, factor, repetitions):
                missed = problems(multiple, rates, decides=label == "decides D")
                good = good and not missed
                other = "" if rival is None else f"{rival.differs:16.1%}  {rival.asked:5.1%}  {rival.covered:7.1%}"
                print(
                    f"{population.name:10}  {population.groups:6}  {label:9}  {f'{multiple} D':>5}"
                    f"  {rates.differs:7.1%}  {rates.fixed:13.1%}  {rates.asked:5.1%}  {rates.covered:7.1%}"
                    f" | {other}  {', '.join(missed)}",
                    flush=True,
                )
    print(f"{time.perf_counter() - start:.0f} s; {'within bounds' if good else 'OUT OF BOUNDS'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
