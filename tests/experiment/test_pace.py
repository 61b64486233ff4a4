"""The pace of a run: kept in its journal, shown, and taken into account by its latency."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import STARTED, published

import qa_eval
from qa_eval.data import Dataset
from qa_eval.data.examples import Example
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.summary import ExperimentResult
from qa_eval.targets.pace import Pace, Reason, Spell

DATASET = Dataset("paced", tuple(Example(str(n), f"question {n}?", references=("yes",)) for n in range(150)))
AT = STARTED.timestamp()


@pytest.fixture
def run() -> RunResult:
    slots = asyncio.Semaphore(2)

    async def two_at_once(example: Example) -> str:
        async with slots:
            await asyncio.sleep(0.03)
        return "yes"

    return qa_eval.run_experiment(DATASET, task=two_at_once, record=False)


def test_a_run_keeps_and_shows_its_pace(run: RunResult, tmp_path: Path) -> None:
    assert run.pace.concurrency is not None
    assert run.pace.per_second is not None
    (experiment,) = run.experiments
    assert run.to_json()["pace"]["answers_per_s"] == run.pace.per_second
    assert qa_eval.open_run(run.run_id).pace == run.pace
    frame = run.to_pandas()
    assert frame["queued"].sum() == experiment.queued
    assert frame["latency_s"][~frame["queued"]].median() == pytest.approx(experiment.latency(0.5), rel=0.2)
    assert qa_eval.report(run, output=tmp_path / "report.html").read_text().count(run.pace.words) == 1


def with_pace(pace: Pace) -> ExperimentResult:
    """Answers that all start at once, with latencies around half a second."""
    return replace(published(60).experiments[0], pace=pace)


def answered_in(experiment: ExperimentResult) -> list[float]:
    return sorted(answer.reply.latency_s for answer in experiment.answers if answer.reply.outcome.is_answer)


def test_answers_within_a_spell_are_left_out_of_the_latency_and_counted() -> None:
    calm = with_pace(Pace())
    latencies = answered_in(calm)
    spell = Spell(AT + latencies[-30] - 1e-6, AT + 100, Reason.PROBING)
    paced = with_pace(Pace(2, 4.0, (spell,)))
    assert calm.queued == 0
    assert paced.queued == 30
    assert paced.latency(1.0) == latencies[-31]
    assert paced.to_json()["latency_s"]["queued"] == 30


def test_where_every_answer_may_have_queued_all_are_shown() -> None:
    calm, paced = with_pace(Pace()), with_pace(Pace(None, None, (Spell(AT, AT + 100, Reason.PROBING),)))
    assert paced.all_queued
    assert paced.queued == 0
    assert paced.latency(0.5) == calm.latency(0.5)


def test_latency_is_compared_on_answers_that_did_not_queue() -> None:
    result = published(60)
    cut = answered_in(result.experiments[0])[20] + 1e-6
    pace = Pace(2, 4.0, (Spell(AT + cut, AT + 100, Reason.PROBING),))
    experiments = (replace(result.experiments[0], pace=pace), *result.experiments[1:])
    comparison = qa_eval.compare(replace(result, experiments=experiments))
    found = next(each for each in comparison.differences if each.measure.name == "p95_latency")
    assert found.before.estimate <= cut
    assert found.before.n == 21


def test_the_pace_of_a_run_that_was_continued_has_the_spells_of_both_processes() -> None:
    first = Pace(8, 16.0, (Spell(1.0, 2.0, Reason.PROBING),))
    assert first.then(Pace()) == first
    second = Pace(4, 8.0, (Spell(5.0, 6.0, Reason.THROTTLED),))
    assert first.then(second) == Pace(4, 8.0, (*first.spells, *second.spells))
    assert second.words == "4 at once, 8 answers a second"
    assert Pace().words == ""
