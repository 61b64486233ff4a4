"""A run that stops when its comparison is decided: who is asked how much, and what is said at the end."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, environment
from shared_data import squad_file

import qa_eval
from qa_eval import stack as local_stack
from qa_eval.data import Dataset, load_dataset
from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.experiment.looks import Settled
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.results import RunResult
from qa_eval.stack import RunningStack
from qa_eval.stack.bedrock.replay import ReplayEntry, write_replay


def questions(groups: int, each: int = 5) -> Dataset:
    return Dataset(
        "grouped",
        tuple(
            Example(f"{group}-{place}", f"question {group}-{place}?", references=("right",), group=f"group {group}")
            for group in range(groups)
            for place in range(each)
        ),
    )


async def perfect(example: Example) -> str:
    return "right"


async def often_wrong(example: Example) -> str:
    return "wrong" if zlib.crc32(example.id.encode()) % 10 < 4 else "right"


async def now_and_then_wrong(example: Example) -> str:
    return "wrong" if example.id in ("3-1", "17-2", "31-4") else "right"


def run(dataset: Dataset, tasks: dict[str, Any], **keywords: Any) -> RunResult:
    settings = {"stop_early": True, "concurrency": 4, "record": False} | keywords
    return qa_eval.run_experiment(dataset, task=tasks, **settings)


def test_a_clear_comparison_stops_early_and_says_so() -> None:
    result = run(questions(60), {"base": perfect, "worse": often_wrong})
    (settled,) = result.settled
    assert (settled.candidate, settled.decision) == ("worse", Settled.WORSE)
    assert settled.number < 5
    assert not result.incomplete
    assert result.stopped is None
    asked = {experiment.system: len(experiment.answers) for experiment in result.experiments}
    assert asked["worse"] < 300
    assert asked["base"] < 300, "the baseline is asked no longer than somebody needs it"
    assert result.saved.questions == 600 - sum(asked.values())
    comparison = qa_eval.compare(result)
    (f1,) = [each for each in comparison.differences if each.tested]
    assert f1.estimate.method.startswith("stage-wise ordering")
    assert f1.shown
    assert f1.estimate.n == settled.examples == 60 * settled.number
    assert f"decided at look {settled.number} of 5" in comparison.verdicts[0]
    assert any("allow for that" in note for note in comparison.notes)


def test_a_settled_candidate_is_asked_no_more_while_another_goes_on() -> None:
    result = run(questions(60), {"base": perfect, "worse": often_wrong, "close": now_and_then_wrong}, margin=0.001)
    asked = {experiment.system: len(experiment.answers) for experiment in result.experiments}
    assert asked["base"] == asked["close"] == 300
    assert asked["worse"] < 300
    assert not result.incomplete
    pairs = {pair.candidate.name: len(pair.baseline) for pair in qa_eval.compare(result).pairs}
    assert pairs["close"] == 300
    assert pairs["worse"] == result.settled[0].examples


def test_no_difference_that_matters_is_settled_too() -> None:
    result = run(questions(60), {"base": perfect, "close": now_and_then_wrong}, margin=0.1)
    (settled,) = result.settled
    assert settled.decision is Settled.NO_DIFFERENCE
    assert settled.number < 5
    assert "does not differ by 10.0 points or more" in qa_eval.compare(result).verdicts[0]


def test_the_gate_s_margin_is_the_difference_that_matters_and_its_rule_is_decided_first() -> None:
    result = run(questions(60), {"base": perfect, "worse": often_wrong}, fail_on="f1 < -0.05")
    design = result.metadata.stop
    assert design is not None
    assert (design.margin, design.gate) == (0.05, (-0.05,))
    (settled,) = result.settled
    assert settled.high is not None
    assert settled.high < -0.05
    with pytest.raises(qa_eval.GateFailed, match=r"looks\s+allowed for"):
        qa_eval.gate(result, fail_on="f1 < -0.05")


def test_stages_are_whole_groups_in_an_order_that_is_fixed_and_random() -> None:
    dataset = questions(30)
    plan = Plan(run(dataset, {"base": perfect, "other": perfect}, looks=3, max_time=1e-6).metadata, dataset)
    groups = [{example.group for example in stage} for stage in plan.stages]
    assert [len(each) for each in groups] == [10, 10, 10]
    assert not groups[0] & groups[1]
    assert groups[0] != {f"group {number}" for number in range(10)}
    assert sum(map(len, plan.stages)) == 150
    again = Plan(plan.metadata, Dataset("again", tuple(reversed(dataset.examples))))
    assert [{example.group for example in stage} for stage in again.stages] == groups


def test_a_comparison_across_runs_does_not_use_the_design() -> None:
    dataset = questions(60)
    stopped = run(dataset, {"base": perfect, "worse": often_wrong})
    other = run(dataset, {"other": perfect}, stop_early=False)
    (f1,) = [each for each in qa_eval.compare(other, stopped).differences if each.tested and each.candidate == "worse"]
    assert "bootstrap" in f1.estimate.method


def test_another_primary_metric_is_not_decided_by_the_design() -> None:
    result = run(questions(60), {"base": perfect, "worse": often_wrong})
    (em,) = [each for each in qa_eval.compare(result, primary="em").differences if each.tested]
    assert "bootstrap" in em.estimate.method


@pytest.mark.parametrize(
    ("tasks", "keywords", "sentence"),
    [
        ({"alone": perfect}, {}, "`stop_early` compares systems, and there is one"),
        ({"base": perfect, "other": perfect}, {"primary": ["f1", "em"]}, "2 are primary: name one with `primary`"),
        (
            {"base": perfect, "other": perfect},
            {"metrics": "length", "primary": "length"},
            "`stop_early` needs `margin`: the smallest difference in length that matters",
        ),
    ],
)
def test_what_cannot_be_decided_early_is_refused(
    tasks: dict[str, Any], keywords: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        run(questions(20), tasks, **keywords)


def test_few_groups_are_refused() -> None:
    with pytest.raises(InputError, match="takes at least 8 groups of examples, and there are 7"):
        run(questions(7), {"base": perfect, "other": perfect})


TASKS = """
import asyncio, os, zlib

async def perfect(example):
    await asyncio.sleep(0.01)
    return "right"

async def often_wrong(example):
    if os.environ.get("KILL_AT") == example.id:
        os.kill(os.getpid(), 9)
    await asyncio.sleep(0.01)
    return "wrong" if zlib.crc32(example.id.encode()) % 10 < 4 else "right"
"""


def test_killed_before_and_after_a_look_the_verdict_is_the_same(tmp_path: Path) -> None:
    dataset = questions(60)
    (tmp_path / "tasks.py").write_text(TASKS)
    rows = [
        {"id": each.id, "question": each.question, "answer": "right", "group": each.group} for each in dataset.examples
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    spec = {
        "dataset": {"path": "questions.jsonl", "examples": "all", "name": "grouped"},
        "systems": [{"name": "base", "task": "tasks:perfect"}, {"name": "worse", "task": "tasks:often_wrong"}],
        "metrics": ["f1"],
        "stop": True,
        "recording": {"phoenix": False},
        "concurrency": 4,
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))

    def call(*arguments: str, kill_at: str = "") -> subprocess.CompletedProcess[str]:
        variables = environment() | {"KILL_AT": kill_at, "QA_EVAL_DATA_DIR": str(tmp_path / f"data{len(kills)}")}
        command = [*COMMAND, *arguments]
        return subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)

    kills: list[str] = []
    whole = json.loads(call("run-experiment", "spec.json", "--json").stdout)
    looks = [(look["number"], look["decision"], look["estimate"]) for look in whole["stop"]["looks"]]
    assert looks[-1][1] == "worse"
    order = [example.id for stage in _stages(whole["run"], tmp_path / "data0") for example in stage]
    decided = looks[-1][0] * 60
    for kill_at in (order[decided // 2], order[decided - 3], order[decided + 1]):
        kills.append(kill_at)
        killed = call("run-experiment", "spec.json", "--json", kill_at=kill_at)
        if killed.returncode == 0:
            assert kill_at == order[decided + 1], "decided before the question came"
            continue
        assert killed.returncode == -9
        resumed = json.loads(call("resume", "latest", "--json").stdout)
        assert [(look["number"], look["decision"], look["estimate"]) for look in resumed["stop"]["looks"]] == looks
        assert _scores_of(resumed) == _scores_of(whole)


def _scores_of(document: dict[str, Any]) -> list[Any]:
    """The answer of a run without its latencies."""
    (answer,), differences = document["verdict"]["answers"], document["verdict"]["differences"]
    return [answer.partition(";")[0], *(each for each in differences if "latency" not in each["measure"])]


def _stages(run_id: str, data: Path) -> tuple[tuple[Example, ...], ...]:
    from qa_eval.experiment.journal_file import JournalFile

    journal = JournalFile.open(data / "runs" / run_id / "journal.sqlite")
    try:
        return journal.plan().stages
    finally:
        journal.close()


VARIANT = "Second system. "


def test_two_published_systems_on_the_real_stack_and_kills_around_a_look(
    in_stack_folder: RunningStack, tmp_path: Path
) -> None:
    dataset = load_dataset(squad_file("dev-v1.1.json"), examples=300)
    strong, weak = (
        json.loads(squad_file(f"predictions/{name}-v1.1.json").read_text())
        for name in ("bert-ensemble", "logistic-regression")
    )
    entries = [ReplayEntry(e.context, e.question, weak.get(e.id, "")) for e in dataset]
    entries += [ReplayEntry(e.context, VARIANT + e.question, strong.get(e.id, "")) for e in dataset]
    write_replay(tmp_path / "replay.jsonl", entries)
    spec = {
        "dataset": {"path": str(squad_file("dev-v1.1.json")), "examples": 300},
        "systems": [
            {"name": "regression", "model": "claude-haiku"},
            {"name": "bert", "model": "claude-haiku", "prompt": "{context}\n\nQuestion: " + VARIANT + "{question}"},
        ],
        "metrics": ["f1"],
        "stop": True,
        "concurrency": 8,
        "servers": {"gateway": in_stack_folder.gateway_url},
        "recording": {"phoenix": False},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    variables = environment() | {
        "QA_EVAL_GATEWAY_KEY": in_stack_folder.gateway_key,
        "QA_EVAL_DATA_DIR": str(tmp_path / "data"),
    }

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def killed_when(reached: Callable[[sqlite3.Connection], bool], *arguments: str) -> None:
        with start(*arguments) as process:
            while process.poll() is None and not any(map(reached, _journals(tmp_path / "data"))):
                time.sleep(0.02)
            process.kill()

    local_stack.up(replay=tmp_path / "replay.jsonl", on_progress=lambda line: None)
    try:
        killed_when(lambda db: _count(db, "answers") > 60, "run-experiment", str(tmp_path / "spec.json"))
        killed_when(lambda db: _count(db, "looks") > 0, "resume", "latest")
        with start("resume", "latest", "--json") as process:
            output, problems = process.communicate()
    finally:
        local_stack.up(on_progress=lambda line: None)
    assert process.returncode == 0, problems
    document = json.loads(output)
    last = document["stop"]["looks"][-1]
    assert (last["candidate"], last["decision"]) == ("bert", "better")
    assert document["stop"]["saved"]["questions"] > 100
    assert document["verdict"]["answers"][0].startswith("bert is better in F1 by ")


def _journals(data: Path) -> Iterator[sqlite3.Connection]:
    for path in data.glob("runs/*/journal.sqlite"):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            yield database


def _count(database: sqlite3.Connection, table: str) -> int:
    try:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
