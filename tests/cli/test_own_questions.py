"""What teams bring, as a user types it: their files, Phoenix's datasets and prompts, a specification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands import qa_eval
from phoenix.client import Client

from qa_eval.stack import RunningStack


def run(*arguments: str, folder: Path) -> dict[str, Any]:
    done = qa_eval("run-experiment", *arguments, "--local", "--json", folder=folder)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.usefixtures("in_stack_folder")
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_of_ones_own_gives_a_score(kind: str, tmp_path: Path) -> None:
    question = "What is the capital of France?"
    if kind == "csv":
        (tmp_path / "q.csv").write_text(f"question,answer\n{question},Paris\n")
    elif kind == "jsonl":
        (tmp_path / "q.jsonl").write_text(json.dumps({"input": question, "expected": "Paris"}) + "\n")
    else:
        pd.DataFrame({"question": [question], "references": [["Paris", "City of Paris"]]}).to_parquet(
            tmp_path / "q.parquet"
        )
    (experiment,) = run("--dataset", f"q.{kind}", folder=tmp_path)["experiments"]
    assert experiment["examples"] == 1
    assert experiment["scores"]["exact_match"] in (0.0, 1.0)
    assert 0 <= experiment["scores"]["f1"] <= 1


def test_a_dataset_made_in_phoenix_is_used_where_it_is(in_stack_folder: RunningStack, tmp_path: Path) -> None:
    client = Client(base_url=in_stack_folder.phoenix_url, api_key=in_stack_folder.phoenix_key)
    made = client.datasets.create_dataset(
        name="made-in-phoenix",
        inputs=[{"question": "Who wrote Hamlet?"}, {"question": "Who wrote Faust?"}],
        outputs=[{"answer": "Shakespeare"}, {"answer": "Goethe"}],
        metadata=[{"era": "1600"}, {"era": "1800"}],
    )
    document = run("--dataset", "phoenix:made-in-phoenix", "--name", "from-phoenix", folder=tmp_path)
    (experiment,) = document["experiments"]
    assert (experiment["examples"], document["unrecorded"]) == (2, 0)
    assert f"/datasets/{made.id}/" in document["url"]
    assert [each["name"] for each in client.datasets.list()].count("made-in-phoenix") == 1
    assert client.datasets.get_dataset(dataset="made-in-phoenix").version_id == made.version_id, "nothing was uploaded"
    stored = client.experiments.get(experiment_id=experiment["phoenix"]["experiment_id"])
    assert stored["dataset_version_id"] == made.version_id
    assert stored["metadata"]["spec"]["dataset"]["phoenix"] == "made-in-phoenix"


@pytest.mark.usefixtures("in_stack_folder")
def test_without_references_the_scores_that_need_them_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("question,product\nHow do I reset it?,router\n")
    (tmp_path / "counting.py").write_text("def words(example, prediction):\n    return len(prediction.split())\n")
    done = qa_eval(
        *("run-experiment", "--local", "--dataset", "q.csv", "--metric", "counting:words", "--name", "bare"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "No example has a reference: exact_match, f1, semantic_similarity are left out." in done.stderr
    assert "words" in done.stdout
    assert "EM" not in done.stdout.splitlines()[3]


def test_the_starter_runs_as_it_is(in_stack_folder: RunningStack, tmp_path: Path) -> None:
    made = qa_eval("init", "demo", folder=tmp_path)
    assert made.returncode == 0
    assert "cd demo && qa-eval run-experiment qa-eval.yaml --local" in made.stdout
    folder = tmp_path / "demo"
    done = qa_eval("run-experiment", "qa-eval.yaml", "--local", folder=folder)
    assert done.returncode == 0, done.stderr
    answer, *lines = done.stdout.splitlines()
    assert answer.startswith("few-shot is better in F1 by ")
    rows = [line.split()[0] for line in lines if line.startswith(("short ", "few-shot "))]
    assert rows == ["short", "few-shot"]
    assert all(len(line) <= 80 for line in lines if "  No interval" not in line and "Dashboard" not in line)
    # The small model continues a series of examples well and follows an instruction poorly.
    assert qa_eval("compare", "first-try", folder=folder).stdout.startswith("few-shot is better in F1 by ")
    again = qa_eval("init", "demo", folder=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    assert json.loads(qa_eval("schema", folder=tmp_path).stdout)["title"] == "qa-eval specification"


def test_a_prompt_of_phoenixs_registry(in_stack_folder: RunningStack, tmp_path: Path) -> None:
    prompt = tmp_path / "short.yaml"
    prompt.write_text(
        "- {role: system, content: 'Answer as {\"a\": 1} or {{question}}.'}\n"
        "- {role: user, content: 'Context: {context}\\n\\nQuestion: {question}\\n\\nAnswer:'}\n"
    )
    push = ("prompts", "push", str(prompt), "--name", "support-short", "--tag", "production")
    first, second = (qa_eval(*push, folder=tmp_path) for _ in range(2))
    assert "a new version" in first.stdout, first.stderr
    assert "unchanged" in second.stdout
    version = first.stdout.split("new version, ")[1].split()[0]
    assert version in second.stdout
    shown = qa_eval("prompts", "show", "support-short", folder=tmp_path).stdout
    assert 'Answer as {"a": 1} or {{question}}.' in shown
    document = run("--examples", "1", "--prompt", "phoenix:support-short@production", folder=tmp_path)
    (system,) = document["spec"]["systems"]
    assert (system["prompt"]["source"], system["prompt"]["version"]) == ("phoenix:support-short@production", version)
    assert [message["role"] for message in system["prompt"]["messages"]] == ["system", "user"]
    client = Client(base_url=in_stack_folder.phoenix_url, api_key=in_stack_folder.phoenix_key)
    (experiment,) = document["experiments"]
    stored = client.experiments.get(experiment_id=experiment["phoenix"]["experiment_id"])
    assert stored["metadata"]["prompt_version"] == version
    missing = qa_eval("prompts", "show", "nothing-of-this-name", folder=tmp_path)
    assert (missing.returncode, "has no prompt 'nothing-of-this-name'" in missing.stderr) == (2, True)


@pytest.mark.usefixtures("in_stack_folder")
def test_a_gate_in_the_specification_decides_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(
        "def right(example):\n    return example.references[0]\n\n\ndef wrong(example):\n    return 'nothing'\n"
    )
    (tmp_path / "spec.yaml").write_text(
        "name: gated\ndataset: {path: sample, examples: 40}\nsystems:\n"
        "  - {name: right, task: 'rules:right'}\n  - {name: wrong, task: 'rules:wrong'}\n"
        "gate: {baseline: right, fail_on: ['f1 < -0.1']}\nrecording: {phoenix: false}\n"
    )
    done = qa_eval("run-experiment", "spec.yaml", folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "gate FAILED" in done.stdout
    assert "qa-eval: the gate failed: wrong: fail-on f1 < -0.1: failed" in done.stderr
    turned = qa_eval("run-experiment", "spec.yaml", "--baseline", "wrong", folder=tmp_path)
    assert (turned.returncode, "gate passed" in turned.stdout) == (0, True)
