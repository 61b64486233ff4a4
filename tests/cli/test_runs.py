"""`qa-eval runs` and `--dry-run` as a user types them."""

from __future__ import annotations

import io
import json
import re
import shutil
from functools import partial
from pathlib import Path

import commands
import pandas as pd
import pytest
from fake_gateway import KEY, Serve

from qa_eval.experiment.journal_file import hold
from qa_eval.paths import data_dir

qa_eval = partial(commands.qa_eval, COLUMNS="100", QA_EVAL_GATEWAY_KEY=KEY)


@pytest.fixture
def run(serve: Serve) -> str:
    """A run of two systems on five questions, each asked twice; its id."""
    gateway = serve(lambda *_: "Paris")
    arguments = ["--model", "qa", "--model", "other", "--examples", "5", "--repeat", "2", "--json", "--name", "main"]
    done = qa_eval("run-experiment", "--gateway", gateway.url, "--no-phoenix", *arguments)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["run"])


def test_a_run_is_listed_and_shown(run: str) -> None:
    listed = qa_eval("runs", "list")
    assert run in listed.stdout
    assert "20 of 20" in listed.stdout
    (summary,) = json.loads(qa_eval("runs", "list", "--json").stdout)
    assert (summary["run_id"], summary["planned"], summary["answered"], summary["unrecorded"]) == (run, 20, 20, 0)
    shown = qa_eval("runs", "show", run[:12])
    assert "main: qa-eval-sample-5-seed-0, 10 questions per system" in shown.stdout
    assert json.loads(qa_eval("runs", "show", "--json").stdout)["run"] == run
    assert json.loads(qa_eval("runs", "show", "main", "--json").stdout)["run"] == run


def test_the_resolved_specification_is_the_same_experiment(run: str, tmp_path: Path, serve: Serve) -> None:
    printed = qa_eval("runs", "show", "main", "--spec").stdout
    (tmp_path / "again.yaml").write_text(printed)
    gateway = serve(lambda *_: "Paris")
    done = qa_eval("run-experiment", str(tmp_path / "again.yaml"), "--gateway", gateway.url, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["name"] == "main"
    assert [each["system"] for each in document["experiments"]] == ["qa", "other"]
    assert qa_eval("runs", "show", document["run"], "--spec").stdout.replace(gateway.url, "") == re.sub(
        r"http://127\.0\.0\.1:\d+", "", printed
    )
    compared = qa_eval("compare", run, "main")
    assert compared.returncode == 0, compared.stderr


def test_every_answer_can_be_taken_elsewhere(run: str, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in qa_eval("runs", "export", run).stdout.splitlines()]
    assert len(lines) == 20
    assert {(line["run"], line["answer"], line["outcome"]) for line in lines} == {(run, "Paris", "answered")}
    assert {line["repetition"] for line in lines} == {1, 2}
    table = pd.read_csv(io.StringIO(qa_eval("runs", "export", run, "--format", "csv").stdout))
    assert list(table["example_id"]) == [line["example_id"] for line in lines]
    done = qa_eval("runs", "export", run, "--output", str(tmp_path / "answers.parquet"))
    assert "20 answers are in" in done.stderr
    assert list(pd.read_parquet(tmp_path / "answers.parquet")["model"]) == [line["model"] for line in lines]


MISTAKES = [
    (("runs", "show", "nothing"), "There is no run 'nothing': `qa-eval runs list` shows those there are."),
    (("runs", "show", "2"), "is the beginning of 2 runs"),
    (("resume", "nothing"), "There is no run 'nothing'"),
    (("runs", "export", "--format", "xml"), "The format 'xml' is unknown: give --format jsonl, csv, parquet."),
    (("runs", "export", "--format", "parquet"), "Parquet is not text: give --output FILE."),
    (("runs", "export", "--output", "/nowhere/x.csv"), "/nowhere/x.csv cannot be written"),
]


def test_mistakes_are_one_sentence(serve: Serve) -> None:
    gateway = serve(lambda *_: "Paris")
    for _ in range(2):
        qa_eval("run-experiment", "--gateway", gateway.url, "--no-phoenix", "--examples", "1")
    for arguments, sentence in MISTAKES:
        done = qa_eval(*arguments)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_run_is_deleted_after_a_question(run: str) -> None:
    kept = qa_eval("runs", "delete", "main", typed="n\n")
    assert kept.returncode == 1
    assert "main: qa-eval-sample-5-seed-0, 20 answers" in kept.stdout
    assert run in qa_eval("runs", "list").stdout
    deleted = qa_eval("runs", "delete", run[:12], "--yes")
    assert (deleted.returncode, deleted.stderr) == (0, "It is deleted.\n")
    assert run not in qa_eval("runs", "list").stdout
    again = qa_eval("runs", "delete", run, "--yes")
    assert again.returncode == 2
    assert again.stderr.startswith(f"qa-eval: There is no run '{run}'")


def test_a_run_that_a_process_works_on_is_not_deleted(run: str) -> None:
    with hold(data_dir() / "runs" / run):
        busy = qa_eval("runs", "delete", run, "--yes")
    assert busy.returncode == 2
    assert f"Another process is at work on run {run}" in busy.stderr
    assert run in qa_eval("runs", "list").stdout


def test_a_journal_elsewhere_is_not_deleted(run: str, tmp_path: Path) -> None:
    copy = tmp_path / "journal.sqlite"
    shutil.copy(data_dir() / "runs" / run / "journal.sqlite", copy)
    refused = qa_eval("runs", "delete", copy, "--yes")
    assert refused.returncode == 2
    assert copy.exists()


def test_without_runs_it_says_how_to_make_one() -> None:
    assert "There are no runs yet" in qa_eval("runs", "list").stdout


def test_a_dry_run_needs_no_gateway() -> None:
    done = qa_eval("run-experiment", "--dry-run", "--model", "nova-lite", "--examples", "7", "--repeat", "3")
    assert done.returncode == 0, done.stderr
    assert "7 questions" in done.stdout
    assert "nova-lite: 21 calls" in done.stdout
    document = json.loads(qa_eval("run-experiment", "--dry-run", "--examples", "2", "--json").stdout)
    assert document["schema"] == "qa-eval/estimate@2"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--concurrency", "many"), "`--concurrency` must be a positive integer or `auto`, not `many`."),
        (("--concurrency", "0"), "`--concurrency` must be a positive integer or `auto`, not `0`."),
        (("--examples", "-3"), "`--examples` must be a positive integer or `all`, not `-3`."),
        (("--repeat", "0"), "`--repeat` must be greater than or equal to 1, not `0`."),
        (("--max-time", "soon"), "`--max-time` must be seconds, or a number with s, m or h such as 10m, not `soon`."),
        (("--max-time", "0s"), "`--max-time` must be a time greater than 0, not `0s`."),
        (("--max-cost", "-1"), "`--max-cost` must be greater than 0, not `-1`."),
        (("--stack", "a"), "stack and gateway"),
        (("--name", "latest"), "`--name` must be letters, digits"),
        (("--parameter", "model=x"), "`model`, which qa-eval sets itself"),
    ],
)
def test_a_wrong_setting_is_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = qa_eval("run-experiment", "--gateway", "http://127.0.0.1:9", "--no-phoenix", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
