"""`qa-eval compare` and `qa-eval report` as a user types them, on runs, exports, predictions and Phoenix."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import qa_eval
from made_runs import right

from qa_eval import load_dataset
from qa_eval.stack import RunningStack


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions for the sample: one with 5 wrong answers, one with 60."""
    sample = load_dataset("sample", examples=None)
    paths = tmp_path / "good.json", tmp_path / "bad.json"
    for path, wrong in zip(paths, (5, 60), strict=True):
        path.write_text(json.dumps(right(sample, wrong, seed=wrong)))
    return paths


def test_a_broken_rule_ends_with_1_and_the_reason(files: tuple[Path, Path], tmp_path: Path) -> None:
    junit = tmp_path / "gate.xml"
    rules = ("--fail-on", "f1 < -0.02", "--require", "em >= 0.1", "--junit", junit)
    done = qa_eval("compare", *files, "--dataset", "sample", *rules)
    assert done.returncode == 1
    assert "bad is worse in F1 by 55.0 points (" in done.stdout
    assert "gate FAILED: 0 inconclusive; inconclusive rules pass" in done.stdout
    assert done.stderr.startswith("qa-eval: the gate failed: bad: fail-on f1 < -0.02: failed; the difference is -0.5")
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_a_run_against_itself_passes(files: tuple[Path, Path]) -> None:
    arguments = (files[0], files[0], "--dataset", "sample", "--fail-on", "f1 < -0.02", "--inconclusive", "fail")
    done = qa_eval("compare", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "good #2 and good #1 have identical scores on all 100 questions." in done.stdout


def test_what_the_sample_cannot_tell_passes_or_fails_as_asked(files: tuple[Path, Path], tmp_path: Path) -> None:
    close = tmp_path / "close.json"
    close.write_text(json.dumps(right(load_dataset("sample", examples=None), 6, seed=9)))
    arguments = ("compare", files[0], close, "--dataset", "sample", "--fail-on", "f1 < -0.02", "--inconclusive")
    for word, code in (("pass", 0), ("fail", 1)):
        done = qa_eval(*arguments, word)
        assert done.returncode == code
        assert f"1 inconclusive; inconclusive rules {word}" in done.stdout
        assert "no difference in F1 can be shown with 100 questions; " in done.stdout


def test_json_and_markdown_stand_alone_on_standard_output(files: tuple[Path, Path]) -> None:
    arguments = ("compare", *files, "--dataset", "sample", "--fail-on", "f1 < -0.02")
    document = json.loads(qa_eval(*arguments, "--json").stdout)
    assert document["schema"] == "qa-eval/compare@2"
    assert document["gate"]["passed"] is False
    assert document["common"] == 100
    markdown = qa_eval(*arguments, "--markdown").stdout
    assert markdown.startswith("**bad is worse in F1 by ")
    assert "| candidate | measure | baseline |" in markdown
    assert "gate FAILED" in markdown


def test_mistakes_are_one_sentence(files: tuple[Path, Path], tmp_path: Path) -> None:
    good, bad = files
    for arguments, sentence in (
        (("compare", good, bad), "is a predictions file: give the questions that it answers with `--dataset`."),
        (("compare", good, "--dataset", "sample"), "A comparison takes two systems and this is one, good"),
        (("compare", good, bad, "--fail-on", "f1"), "must be a rule like 'f1 < -0.02'"),
        (("compare", good, bad, "--dataset", "sample", "--require", "cost < 1"), "cannot be judged"),
        (("compare", good, bad, "--junit", tmp_path / "x"), "--junit writes what the gate says"),
        (("compare", "nothing", "neither"), "There is no run 'nothing'"),
        (
            ("compare", good, bad, "--dataset", "sample", "--inconclusive", "no"),
            "`--inconclusive` must be pass or fail",
        ),
        (("report", good, "--dataset", "sample", "--output", tmp_path / "a" / "b"), "cannot be written"),
        (("report", "nothing"), "There is no run 'nothing'"),
    ):
        done = qa_eval(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert sentence in done.stderr


def test_a_run_its_export_and_its_experiments_say_the_same(in_stack_folder: RunningStack, tmp_path: Path) -> None:
    asked = ("--local", "--examples", "4", "--model", "nova-micro", "--model", "claude-haiku", "--repeat", "2")
    run = json.loads(qa_eval("run-experiment", *asked, "--json").stdout)
    by_run = qa_eval("compare", run["run"], "--json")
    assert by_run.returncode == 0, by_run.stderr
    of_run = json.loads(by_run.stdout)
    assert (of_run["baseline"], of_run["candidates"]) == ("nova-micro", ["claude-haiku"])
    assert of_run["common"] == 4

    export = tmp_path / "answers.csv"
    assert qa_eval("runs", "export", run["run"], "--output", export).returncode == 0
    ids = [experiment["phoenix"]["experiment_id"] for experiment in run["experiments"]]
    page = run["experiments"][1]["phoenix"]["url"]
    for sources in (
        (export,),
        tuple(ids),
        (ids[0], page),
        tuple(f"{run['run']}:{m}" for m in (each["system"] for each in run["experiments"])),
    ):
        done = qa_eval("compare", *sources, "--json")
        assert done.returncode == 0, done.stderr
        assert figures(json.loads(done.stdout)) == pytest.approx(figures(of_run), abs=1e-6)

    output = tmp_path / "report.html"
    done = qa_eval("report", run["run"], "--output", output)
    assert (done.returncode, done.stdout) == (0, f"{output}\n")
    page = output.read_text()
    assert of_run["verdicts"][0].split(";")[0] in page
    assert in_stack_folder.gateway_key not in page


def figures(document: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """What every source tells: the scores; Phoenix knows no cost, and its times are cut to milliseconds."""
    names = ("em", "f1", "answered")
    return {
        f"{each['measure']} {end}": each[end]
        for each in document["differences"]
        if each["measure"] in names
        for end in ("baseline_value", "candidate_value", "difference")
    }
