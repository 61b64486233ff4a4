"""How often the gate is wrong: its false alarms where nothing differs, and its power where something does.

The population is real: the scores of two published systems on each question of SQuAD v1.1's development set. A sample
draws 48 articles with replacement, then questions from them. Baseline and candidate are mixtures of the two systems:
for each question a coin says which of the two each of them gets. A fair coin makes the runs interchangeable, so there
is no real difference, though the two score many questions differently; the coin leans by article, so that differences
within an article are alike. A coin that leans everywhere the same way makes a real difference of known size.

    python benchmarks/gate.py [repetitions]     exit code 1 where a rate is out of bounds

False alarms, at no real difference (bound: 5 %):
    a gate at its sharpest, `--fail-on 'f1 < 0'` or `'em < 0'`, and one with a margin, `'f1 < -0.02'`;
    a verdict "better" or "worse" in either score, after the correction.
Power (bound: 80 %): the true difference is the one that samples with it themselves state as detectable
(`Difference.detectable`, its mean); the gate `--fail-on 'f1 < 0'` should fail.

Data: `$QA_EVAL_SHARED_DATA`, else `../shared/data` from the project's root.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt

from qa_eval.analysis.differences import PLANNED_POWER
from qa_eval.analysis.gate import state_of
from qa_eval.analysis.observations import Observations, from_predictions
from qa_eval.analysis.rules import Rule, RuleState
from qa_eval.data import load_dataset
from qa_eval.statistics import ALPHA, minimum_detectable_difference, paired_difference

SIZES = (100, 300, 1000)
ARTICLES = 48
LEAN = 0.08
"""Standard deviation of the coin's lean by article."""
FALSE_ALARMS, POWER = 0.05, 0.80

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """Two systems' scores on the same questions; all of shape (n,)."""

    strong: dict[str, Floats]
    weak: dict[str, Floats]
    by_group: list[npt.NDArray[np.intp]]
    """The questions of each article."""

    def lean(self, difference: float) -> float:
        """How far the coin leans for a true difference of this size in F1."""
        return difference / float(np.mean(self.strong["f1"] - self.weak["f1"])) / 2


@dataclass(frozen=True)
class Rates:
    """How often something happened."""

    questions: int
    sharp_f1: float
    sharp_em: float
    margin_f1: float
    verdict: float
    detectable: float
    """The true difference in F1 that samples with just this difference state as detectable, on average."""
    power: float


def population(folder: Path) -> Population:
    """The development set, scored."""
    dataset = load_dataset(folder / "dev-v1.1.json", examples=None)
    systems = [
        from_predictions(name, json.loads((folder / "predictions" / f"{name}-v1.1.json").read_text()), dataset)
        for name in ("bert-ensemble", "logistic-regression")
    ]
    groups = np.array([item.question.group for item in systems[0].items.values()])
    by_group = [np.flatnonzero(groups == group) for group in dict.fromkeys(groups)]
    return Population(_scores(systems[0]), _scores(systems[1]), by_group)


def simulate(people: Population, questions: int, repetitions: int, *, seed: int, resamples: int) -> Rates:
    """Draw samples and judge them."""
    rng = np.random.default_rng(seed)
    fair = [_judged(people, questions, 0.0, rng, resamples) for _ in range(repetitions)]
    detectable = _stated(people, questions, rng)
    leaning = [_judged(people, questions, people.lean(detectable), rng, resamples) for _ in range(repetitions)]
    return Rates(
        questions=questions,
        sharp_f1=fmean(found.fails["fail-on f1 < 0"] for found in fair),
        sharp_em=fmean(found.fails["fail-on em < 0"] for found in fair),
        margin_f1=fmean(found.fails["fail-on f1 < -0.02"] for found in fair),
        verdict=fmean(found.told for found in fair),
        detectable=detectable,
        power=fmean(found.fails["fail-on f1 < 0"] for found in leaning),
    )


def _stated(people: Population, questions: int, rng: np.random.Generator) -> float:
    """The difference that samples which have it state as detectable: a candidate is not equally worse everywhere."""
    stated = 0.0
    for _ in range(4):
        samples = [_pair(people, questions, people.lean(stated), rng) for _ in range(500)]
        stated = fmean(
            minimum_detectable_difference(*pairs["f1"], names, power=PLANNED_POWER) or 0.0 for pairs, names in samples
        )
    return stated


RULES = [Rule.parse(text, "fail-on") for text in ("f1 < 0", "em < 0", "f1 < -0.02")]


@dataclass(frozen=True)
class _Judged:
    fails: dict[str, bool]
    told: bool
    """A verdict says that the runs differ."""


def _judged(people: Population, questions: int, lean: float, rng: np.random.Generator, resamples: int) -> _Judged:
    pairs, names = _pair(people, questions, lean, rng)
    found = {name: paired_difference(*pair, names, resamples=resamples) for name, pair in pairs.items()}
    fails = {str(rule): state_of(rule, found[rule.name]) is RuleState.FAILED for rule in RULES}
    return _Judged(fails, found["f1"].p_value <= ALPHA)


def _pair(
    people: Population, questions: int, lean: float, rng: np.random.Generator
) -> tuple[dict[str, tuple[Floats, Floats]], list[str]]:
    """One sample: both runs' scores and the articles. The baseline gets the strong system's with chance 0.5 + lean."""
    chosen, articles = _sample(people, questions, rng)
    tilt = rng.normal(0.0, LEAN, ARTICLES)[articles]
    heads = rng.random(len(chosen)) < np.clip(0.5 + lean + tilt, 0, 1)
    pairs = {}
    for name in ("em", "f1"):
        strong, weak = people.strong[name][chosen], people.weak[name][chosen]
        pairs[name] = np.where(heads, strong, weak), np.where(heads, weak, strong)
    return pairs, [str(article) for article in articles]


def _sample(
    people: Population, questions: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Questions, and the number of the drawn article of each."""
    drawn = [people.by_group[number] for number in rng.integers(len(people.by_group), size=ARTICLES)]
    pool = np.concatenate(drawn)
    articles = np.repeat(np.arange(ARTICLES), [len(each) for each in drawn])
    kept = rng.permutation(len(pool))[:questions]
    return pool[kept], articles[kept]


def _scores(system: Observations) -> dict[str, Floats]:
    names = {"em": "exact_match", "f1": "f1"}
    return {
        short: np.array([item.scores[name] for item in system.items.values()], dtype=np.float64)
        for short, name in names.items()
    }


def main() -> int:
    """Simulate each size and print a line for it."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    folder = Path(os.environ.get("QA_EVAL_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data") / "squad"
    people = population(folder)
    print(f"{repetitions} repetitions each; false alarms at most {FALSE_ALARMS:.0%}, power at least {POWER:.0%}")
    print("questions  'f1 < 0'  'em < 0'  'f1 < -0.02'  verdict  detectable F1  power  seconds")
    good = True
    for questions in SIZES:
        start = time.perf_counter()
        rates = simulate(people, questions, repetitions, seed=questions, resamples=2_000)
        alarms = (rates.sharp_f1, rates.sharp_em, rates.margin_f1, rates.verdict)
        good = good and max(alarms) <= FALSE_ALARMS and rates.power >= POWER
        seconds = time.perf_counter() - start
        print(
            f"{questions:9}  {rates.sharp_f1:8.1%}  {rates.sharp_em:8.1%}  {rates.margin_f1:12.1%}"
            f"  {rates.verdict:7.1%}  {rates.detectable:13.3f}  {rates.power:5.1%}  {seconds:7.0f}"
        )
    print("within bounds" if good else "OUT OF BOUNDS")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
