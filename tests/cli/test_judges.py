"""A judge, a code metric and an own function on the real stack: asked, recorded, traced, compared, gated, reported."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import commands
import httpx
import pytest
from phoenix.client import Client
from phoenix_traces import traces

import qa_eval
from qa_eval.experiment.calibration import LOCAL_STAND_IN
from qa_eval.stack import RunningStack
from qa_eval.stack.bedrock.judge import EXPLANATION

SPEC = """
name: judged
dataset: { path: sample, examples: 10 }
systems:
  - { name: small, model: nova-lite }
  - { name: known, task: "own:known" }
metrics:
  - f1
  - contains
  - { judge: correctness, model: claude-sonnet }
  - { python: "own:brief", direction: higher }
primary: correctness
gate: { baseline: known, fail_on: ["correctness < -0.99"], require: ["contains >= 0"] }
"""
OWN = """
def known(example):
    return example.references[0]

def brief(example, answer):
    return 1 / len(answer.split())
"""


def command(*arguments: str, folder: Path, code: int = 0) -> str:
    done = commands.qa_eval(*arguments, folder=folder)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "judged.yaml").write_text(SPEC)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def test_a_judge_a_code_metric_and_an_own_function(in_stack_folder: RunningStack, folder: Path) -> None:
    stack = in_stack_folder
    document = json.loads(command("run-experiment", "judged.yaml", "--local", "--json", folder=folder))
    small, known = document["experiments"]
    assert known["scores"] == {"f1": 1.0, "contains": 1.0, "correctness": 1.0, "brief": known["scores"]["brief"]}
    assert document["gate"]["passed"]
    (judge,) = document["judges"]
    assert judge["warning"] == LOCAL_STAND_IN
    assert judge["accuracy"]["right"] == 10
    assert judge["accuracy"]["sensitivity"] >= 0.8, "a reference in words, where only the number is shown"
    assert judge["accuracy"]["wrong"] > 5
    check_phoenix(stack, small)
    spans = [judge_spans(stack, each["phoenix"]["experiment_id"]) for each in (small, known)]
    assert sum(spans) >= 10, "one for each answer, but the same answer to the same question is judged once"

    shown = command("runs", "show", "judged", folder=folder)
    assert "known is better in correctness by " in shown or "small is worse in correctness by " in shown
    assert "corrected for the judge's errors" in shown
    compared = json.loads(
        command("compare", "judged:known", "judged:small", "--fail-on", "brief < -1", "--json", folder=folder)
    )
    assert compared["primary"] == ["correctness"]
    assert {each["measure"] for each in compared["differences"]} >= {"f1", "contains", "correctness", "brief"}
    assert [each["measure"] for each in compared["differences"] if each["tested"]] == ["correctness"]
    assert compared["gate"]["passed"]
    command("compare", "judged:known", "judged:small", "--require", "correctness > 1", folder=folder, code=1)
    command("runs", "export", "judged", "--output", "judged.csv", folder=folder)
    exported = json.loads(command("compare", "judged.csv", "--primary", "correctness", "--json", folder=folder))
    assert {each["measure"] for each in exported["differences"]} >= {"f1", "contains", "correctness", "brief"}
    command("report", "judged", "--output", "report.html", folder=folder)
    page = (folder / "report.html").read_text()
    assert "correctness by kind of question" in page
    assert "brief" in page
    check_plugin(folder)

    added = json.loads(command("evaluate", "judged", "--metric", "judge:completeness", "--judge-model", "claude-sonnet",
                               "--json", folder=folder))  # fmt: skip
    assert [each["metric"] for each in added["judges"]] == ["correctness", "completeness"]
    assert added["judges"][0]["calls"] == judge["calls"], "nothing is judged twice"
    assert added["unrecorded"] == 0
    names = {each["name"] for run in runs_of(stack, small) for each in run["annotations"]}
    assert names >= {"correctness", "completeness"}
    check_people(stack, document["run"], small["phoenix"]["experiment_id"])


def runs_of(stack: RunningStack, experiment: dict[str, Any]) -> list[dict[str, Any]]:
    address = f"{stack.phoenix_url}/v1/experiments/{experiment['phoenix']['experiment_id']}/json"
    found: list[dict[str, Any]] = httpx.get(address, timeout=60).json()
    return found


def check_phoenix(stack: RunningStack, experiment: dict[str, Any]) -> None:
    """Each answer has the judgement, by a model, with label and explanation."""
    for run in runs_of(stack, experiment):
        (found,) = (each for each in run["annotations"] if each["name"] == "correctness")
        assert found["annotator_kind"] == "LLM"
        if run["error"] is None:
            assert found["label"] in ("right", "wrong")
            assert found["explanation"] == EXPLANATION


def judge_spans(stack: RunningStack, experiment_id: str) -> int:
    """How many calls of the judge there are, each an evaluator's span under the question's own, the gateway's below."""
    deadline = time.monotonic() + 30
    while True:
        found = traces(stack, experiment_id, 20)
        judges = [(spans, span) for spans in found for span in spans if span["name"] == "judge correctness"]
        above_the_gateway = [any(each["parentId"] == span["spanId"] for each in spans) for spans, span in judges]
        # The gateway sends its spans every few seconds.
        if all(above_the_gateway) or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert all(above_the_gateway), "the gateway's span is under it"
    for spans, judge in judges:
        (root,) = (span for span in spans if span["name"] == "question")
        assert (judge["parentId"], judge["spanKind"]) == (root["spanId"], "evaluator")
    return len(judges)


def check_plugin(folder: Path) -> None:
    """A test of any project can demand something of a judge."""
    (folder / "test_gate.py").write_text(
        "def test_it(qa_eval_gate):\n"
        "    qa_eval_gate('judged:known', require=['correctness >= 0.5', 'brief > 0', 'contains >= 0.5'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gate.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (line,) = (line.split() for line in done.stdout.splitlines() if "require correctness >= 0.5: value " in line)
    assert line[0] == "passed"


def check_people(stack: RunningStack, run: str, experiment_id: str) -> None:
    """People's annotations in Phoenix say how far the judge can be trusted."""
    client = Client(base_url=stack.phoenix_url, api_key=stack.phoenix_key)
    roots = [
        span["spanId"] for spans in traces(stack, experiment_id, 20) for span in spans if span["name"] == "question"
    ]
    for span in roots:
        client.spans.add_span_annotation(
            span_id=span, annotation_name="correctness", annotator_kind="HUMAN", label="wrong"
        )
    result = qa_eval.import_labels(run, metric="correctness", phoenix=stack.phoenix_url)
    report = next(each for each in result.judges if each.metric == "correctness")
    assert report.agreement is not None
    assert 5 < report.agreement.n <= 10
