"""`qa-eval score` and `qa-eval datasets` as a user types them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from commands import qa_eval
from shared_data import squad_file

from qa_eval.stack import RunningStack


def test_the_published_scores_to_the_digit() -> None:
    predictions, dataset = squad_file("predictions/bert-ensemble-v1.1.json"), squad_file("dev-v1.1.json")
    done = qa_eval("score", str(predictions), "--dataset", str(dataset), "--json")
    assert json.loads(done.stdout) == {"exact_match": 86.20624408703878, "f1": 92.19557978351145, "total": 10570}
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_prediction_counts_0_and_is_named() -> None:
    predictions, dataset = squad_file("predictions/logistic-regression-v1.1.json"), squad_file("dev-v1.1.json")
    done = qa_eval("score", str(predictions), "--dataset", str(dataset), "--json")
    assert json.loads(done.stdout) == {"exact_match": 40.14191106906339, "f1": 50.98153647324461, "total": 10570}
    assert done.stderr.startswith("13 questions have no prediction and count 0: 5")


def test_version_2_has_its_breakdown(tmp_path: Path) -> None:
    path = tmp_path / "nothing.json"
    path.write_text("{}")
    dataset = squad_file("dev-v2.0-sample.json")
    identifiers = [
        question["id"]
        for article in json.loads(dataset.read_text())["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    path.write_text(json.dumps(dict.fromkeys(identifiers, "")))
    done = qa_eval("score", str(path), "--dataset", str(dataset))
    numbers = dict(line.split() for line in done.stdout.splitlines())
    assert numbers["exact_match"] == "50.0"
    assert (numbers["NoAns_exact"], numbers["NoAns_total"]) == ("100.0", "100")
    assert (numbers["HasAns_f1"], numbers["HasAns_total"]) == ("0.0", "100")


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    for arguments, sentence in (
        (("score", "none.json", "--dataset", "sample"), "The predictions file none.json cannot be read"),
        (("score", "none.json", "--dataset", "sample", "--format", "v3"), "--format v3 is no official script"),
        (("datasets", "show", "none.parquet"), "There is no dataset file none.parquet"),
        (("datasets", "list"), "No Phoenix given. Use `--phoenix`"),
        (("datasets", "load", "--phoenix", "http://127.0.0.1:9"), "No Phoenix answers"),
    ):
        done = qa_eval(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert sentence in done.stderr


def test_show_prints_questions_with_their_references() -> None:
    done = qa_eval("datasets", "show", "sample", "--examples", "3")
    assert done.returncode == 0
    assert done.stdout.count("Question: ") == done.stdout.count("References: ") == 3


DOCS = Path(__file__).parents[2] / "docs" / "datasets.md"
COMMAND = re.compile(r"^\$ ((?:printf|qa-eval datasets show) (?!phoenix:).+)$", re.MULTILINE)


def test_the_commands_of_the_page_on_datasets_work(tmp_path: Path) -> None:
    commands = COMMAND.findall(DOCS.read_text())
    assert len(commands) >= 6
    (tmp_path / "qa-eval").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qa_eval.cli.main "$@"\n')
    (tmp_path / "qa-eval").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = "\n".join(("set -e", *commands))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert "question from question; references from answer; metadata: product." in done.stderr
    assert "question from q; references from right, also; group from play; metadata: play." in done.stderr
    assert "References: Shakespeare | William Shakespeare" in done.stdout
    assert done.stdout.count("Question: ") == 1 + 1 + 10 + 20


def test_show_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("query,tier\nWho?,gold\n")
    done = qa_eval("datasets", "show", str(path))
    assert "  Question: Who?\n  References: (none)\n  Metadata: tier: gold\n" in done.stdout
    assert "1 of 1 examples has no reference." in done.stderr.splitlines()
    for arguments, sentence in (
        (("--columns", "question=qurey"), "give query, or another one of query, tier"),
        (("--columns", "qurey"), "`--columns` must be like question=q,references=a+b,group=c, not `qurey`"),
        (("--stratify-by", "colour"), "give one of none, group, question-type, tier"),
        (("--examples", "0"), "`--examples` must be a positive integer or `all`, not `0`"),
    ):
        done = qa_eval("datasets", "show", str(path), *arguments)
        assert (done.returncode, done.stderr.count("\n"), sentence in done.stderr) == (2, 1, True), done.stderr


def test_load_and_list(in_stack_folder: RunningStack) -> None:
    arguments = ("datasets", "load", "sample", "--examples", "7", "--seed", "9")
    first, second = qa_eval(*arguments), qa_eval(*arguments)
    assert first.stdout.startswith("qa-eval-sample-7-seed-9: 7 examples, 7 new or changed\n")
    assert second.stdout.startswith("qa-eval-sample-7-seed-9: 7 examples, 0 new or changed\n")
    assert f"{in_stack_folder.phoenix_url}/datasets/" in first.stdout
    assert "qa-eval-sample-7-seed-9  (7 examples)" in qa_eval("datasets", "list").stdout.splitlines()


def test_a_dataset_of_phoenix_is_shown_and_not_uploaded(in_stack_folder: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "capitals.csv"
    path.write_text("question,answer\nWhat is the capital of France?,Paris\n")
    assert qa_eval("datasets", "load", str(path)).stdout.startswith("capitals: 1 examples, 1 new or changed\n")
    path.write_text("question,answer\nWhat is the capital of Spain?,Madrid\n")
    other = qa_eval("datasets", "load", str(path))
    assert "Phoenix has other examples under 'capitals': these are under 'capitals-" in other.stderr
    assert "What is the capital of France?" in qa_eval("datasets", "show", "phoenix:capitals").stdout
    again = qa_eval("datasets", "load", "phoenix:capitals")
    assert again.stdout.startswith("capitals: 1 examples, 0 new or changed\n")
    assert (
        "has no dataset 'capitols': did you mean 'capitals'?" in qa_eval("datasets", "show", "phoenix:capitols").stderr
    )
