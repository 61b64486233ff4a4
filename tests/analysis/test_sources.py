"""What a user names becomes observations; runs in journals and in Phoenix are tested with the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_runs import made_run, right

from qa_eval.analysis.comparison import compare
from qa_eval.analysis.observations import from_run
from qa_eval.analysis.sources import observe
from qa_eval.data import Dataset, load_dataset
from qa_eval.errors import InputError, PhoenixError
from qa_eval.experiment.results import RunResult
from qa_eval.targets.outcome import Outcome


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample", examples=100)


@pytest.fixture(scope="module")
def run(sample: Dataset) -> RunResult:
    answers = {"A": right(sample, 20), "B": {e.id: 'a "quoted"\nanswer, with\u2028all' for e in sample}}
    return made_run(sample, answers, failing=0.1)


def exported(run: RunResult, path: Path) -> Path:
    frame = run.to_pandas()
    match path.suffix:
        case ".jsonl":
            frame.to_json(path, orient="records", lines=True, date_format="iso", force_ascii=False)
        case ".csv":
            frame.to_csv(path, index=False)
        case _:
            frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_an_export_says_what_the_run_says(run: RunResult, tmp_path: Path, suffix: str) -> None:
    read, known = observe([exported(run, tmp_path / f"answers{suffix}")]), from_run(run)
    assert [system.name for system in read] == ["A", "B"]
    for system, original in zip(read, known, strict=True):
        assert list(system.items) == list(original.items)
        assert system.outcomes == original.outcomes
        for key, item in system.items.items():
            other = original.items[key]
            assert dict(item.scores) == pytest.approx(dict(other.scores))
            assert item.question.references == other.question.references
            assert item.answers[0].text == other.answers[0].text
            assert item.answers[0].latency_s == pytest.approx(other.answers[0].latency_s)
            assert item.cost_usd == (None if other.cost_usd is None else pytest.approx(other.cost_usd))


def test_a_predictions_file_takes_its_dataset(sample: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(dict(list(right(sample, 10).items())[1:])))
    with pytest.raises(InputError, match="is a predictions file: give the questions that it answers with `dataset`"):
        observe([path])
    (system,) = observe([path], dataset=sample)
    assert system.metrics == ("exact_match", "f1")
    assert system.outcomes == {"answered": 99, "empty": 1}
    assert system.items[sample.examples[0].id].scores["f1"] == 0
    assert system.items[sample.examples[0].id].answers[0].outcome is Outcome.EMPTY


def test_a_run_and_its_export_compare_as_the_same(run: RunResult, tmp_path: Path) -> None:
    export = observe([exported(run, tmp_path / "answers.jsonl")])[0]
    comparison = compare(from_run(run)[0], export)
    scores = [each for each in comparison.differences if each.measure.name in ("em", "f1", "cost", "p95_latency")]
    assert len(scores) == 4
    for each in scores:
        assert each.estimate.estimate == pytest.approx(0, abs=1e-9)
    assert "the embedders differ, or are not known" in comparison.notes[0]


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"model": "A"}\n')
    with pytest.raises(InputError, match="is not an export of a run: it lacks answer, example_id, group, outcome"):
        observe([broken])
    broken.write_text("{")
    with pytest.raises(InputError, match="is not jsonl"):
        observe([broken])
    row = {"model": "A", "example_id": "1", "title": "T", "answer": "x", "outcome": "vanished"}
    broken.write_text(json.dumps(row))
    with pytest.raises(InputError, match=r"row 1 is broken \('vanished' is not a valid Outcome\)"):
        observe([broken])
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        observe(["none.csv"])
    with pytest.raises(InputError, match="There is no run 'nothing'"):
        observe(["nothing"])
    with pytest.raises(InputError, match="is an experiment in Phoenix: say in which one with `phoenix`"):
        observe(["RXhwZXJpbWVudDox"])
    with pytest.raises(InputError, match="does not name one experiment"):
        observe(["http://127.0.0.1:9/datasets/x"])
    with pytest.raises(PhoenixError, match=r"No Phoenix answers at http://127\.0\.0\.1:9"):
        observe(["http://127.0.0.1:9/datasets/x/compare?experimentId=RXhwZXJpbWVudDox"])
