"""`qa-eval run-experiment` as a user types it: real LiteLLM, real Phoenix, the real small model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import COMMAND, qa_eval
from fake_gateway import KEY, FakeGateway
from shared_data import squad_file

from qa_eval.data import load_dataset
from qa_eval.data.predictions import read_predictions
from qa_eval.metrics import score_predictions
from qa_eval.stack import RunningStack


def runs_in_phoenix(stack: RunningStack, experiment: dict[str, Any]) -> list[dict[str, Any]]:
    url = f"{stack.phoenix_url}/v1/experiments/{experiment['phoenix']['experiment_id']}/json"
    found: list[dict[str, Any]] = httpx.get(url, timeout=60).raise_for_status().json()
    return found


def phoenix_mean(runs: list[dict[str, Any]], name: str) -> float:
    scores = [a["score"] for run in runs for a in run["annotations"] if a["name"] == name]
    assert len(scores) == len(runs)
    return sum(scores) / len(scores)


def test_the_sample_on_the_real_model(in_stack_folder: RunningStack) -> None:
    done = qa_eval("run-experiment", "--local", "--examples", "12", "--model", "claude-haiku")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    row = next(line.split() for line in lines if line.lstrip().startswith("claude-haiku"))
    answered, blocked, failed = (int(count) for count in row[4].split("/"))
    assert answered + blocked + failed == 12
    assert answered >= 10
    assert f"Dashboard: {in_stack_folder.phoenix_url}/datasets/" in done.stdout
    assert "`qa-eval stack down` stops it" in done.stderr
    assert all(len(line) <= 80 for line in lines if "Dashboard" not in line)
    assert in_stack_folder.gateway_key not in done.stdout + done.stderr


def test_json_is_one_document_on_standard_output(in_stack_folder: RunningStack) -> None:
    models = ("--model", "nova-micro", "--model", "qa")
    done = qa_eval("run-experiment", "--local", "--examples", "4", "--json", "--stream", *models)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "qa-eval/run@2"
    assert [experiment["system"] for experiment in document["experiments"]] == ["nova-micro", "qa"]
    for experiment in document["experiments"]:
        runs = runs_in_phoenix(in_stack_folder, experiment)
        assert len(runs) == 4
        for name, mean in experiment["scores"].items():
            assert phoenix_mean(runs, name) == pytest.approx(mean, abs=1e-12)
        assert experiment["tokens"]["prompt"] > 400
        assert experiment["cost_usd"] > 0
        assert 0 < experiment["first_token_s"]["p50"] <= experiment["latency_s"]["p50"]
        times = [a["score"] for run in runs for a in run["annotations"] if a["name"] == "first_token_s"]
        assert len(times) == experiment["answered"]


def test_the_gateways_spans_join_the_runs_trace(in_stack_folder: RunningStack) -> None:
    done = qa_eval("run-experiment", "--local", "--examples", "1", "--json", "--model", "claude-haiku")
    (experiment,) = json.loads(done.stdout)["experiments"]
    (run,) = runs_in_phoenix(in_stack_folder, experiment)
    names = _span_names(in_stack_folder.phoenix_url, run["trace_id"], {"question", "chat claude-haiku"})
    assert {"question", "chat claude-haiku"} <= names


def test_tokens_and_cost_in_phoenix_are_the_gateways_own(in_stack_folder: RunningStack) -> None:
    done = qa_eval("run-experiment", "--local", "--examples", "3", "--json", "--model", "claude-haiku")
    (experiment,) = json.loads(done.stdout)["experiments"]
    runs = runs_in_phoenix(in_stack_folder, experiment)
    cost = sum(a["score"] for run in runs for a in run["annotations"] if a["name"] == "cost_usd")
    assert cost == pytest.approx(experiment["cost_usd"], rel=0.01)

    tokens = experiment["tokens"]["prompt"] + experiment["tokens"]["completion"]
    query = "query($id: ID!) { node(id: $id) { ... on Experiment { costSummary { total { tokens } } } } }"
    body = {"query": query, "variables": {"id": experiment["phoenix"]["experiment_id"]}}
    seen = 0.0
    for _ in range(60):
        summary = httpx.post(f"{in_stack_folder.phoenix_url}/graphql", json=body, timeout=30).json()
        seen = summary["data"]["node"]["costSummary"]["total"]["tokens"] or 0.0
        if seen >= tokens:
            break
        time.sleep(0.5)
    assert seen == tokens, "each token is counted once"


def _span_names(phoenix_url: str, trace_id: str, awaited: set[str]) -> set[str]:
    """The names of a trace's spans; the gateway sends its own in batches of up to some seconds."""
    query = """query ($id: ID!) { getTraceByOtelId(traceId: $id) { spans(first: 50) { edges { node { name } } } } }"""
    names: set[str] = set()
    for _ in range(60):
        response = httpx.post(
            f"{phoenix_url}/graphql",
            json={"query": query.replace("$id: ID!", "$id: String!"), "variables": {"id": trace_id}},
            timeout=30,
        )
        trace = (response.json().get("data") or {}).get("getTraceByOtelId")
        names = {edge["node"]["name"] for edge in trace["spans"]["edges"]} if trace else set()
        if awaited <= names:
            break
        time.sleep(0.5)
    return names


def test_replay_gives_the_official_score_through_the_whole_chain(in_stack_folder: RunningStack) -> None:
    dataset, answers = squad_file("dev-v1.1.json"), squad_file("predictions/logistic-regression-v1.1.json")
    subset = load_dataset(dataset, examples=100)
    official = score_predictions(read_predictions(answers), subset, "1.1")

    done = qa_eval(
        *("run-experiment", "--local", "--dataset", str(dataset), "--examples", "100", "--json"),
        *("--replay", str(answers), "--dataset-name", "replay", "--model", "nova-micro"),
    )
    assert done.returncode == 0, done.stderr
    (experiment,) = json.loads(done.stdout)["experiments"]
    assert experiment["official"]["exact_match"] == pytest.approx(official.exact_match, abs=1e-9)
    assert experiment["official"]["f1"] == pytest.approx(official.f1, abs=1e-9)
    runs = runs_in_phoenix(in_stack_folder, experiment)
    assert 100 * phoenix_mean(runs, "exact_match") == pytest.approx(official.exact_match, abs=1e-9)
    assert 100 * phoenix_mean(runs, "f1") == pytest.approx(official.f1, abs=1e-9)


def test_the_gateways_embeddings_have_a_column_of_their_own(in_stack_folder: RunningStack) -> None:
    done = qa_eval(
        *("run-experiment", "--local", "--examples", "3", "--json", "--model", "nova-micro", "--similarity", "gateway")
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    embedder = document["embedder"]
    assert "titan-embed" in embedder
    (experiment,) = document["experiments"]
    runs = runs_in_phoenix(in_stack_folder, experiment)
    names = {annotation["name"] for run in runs for annotation in run["annotations"]}
    assert names == {"exact_match", "f1", "cost_usd", f"semantic_similarity ({embedder})"}


def test_the_key_is_in_no_trace_and_no_journal(in_stack_folder: RunningStack, stack_folder: Path) -> None:
    qa_eval("run-experiment", "--local", "--examples", "1", "--model", "nova-micro")
    time.sleep(2)
    held = [path for path in stack_folder.rglob("*") if path.is_file() and path.name != "master-key"]
    assert any(path.name.startswith("phoenix.db") for path in held)
    assert any(path.name == "journal.sqlite" for path in held)
    key = in_stack_folder.gateway_key.encode()
    assert [path for path in held if key in path.read_bytes()] == []


def test_a_harmful_question_is_blocked_and_counted(in_stack_folder: RunningStack, tmp_path: Path) -> None:
    from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES

    phrase = next(iter(TRIGGER_PHRASES.values()))
    phrase = phrase if isinstance(phrase, str) else next(iter(phrase))
    content = {
        "version": "1.1",
        "data": [
            {
                "title": "T",
                "paragraphs": [
                    {
                        "context": "Ada Lovelace wrote the first program.",
                        "qas": [
                            {"id": f"q{i}", "question": question, "answers": [{"text": "Ada", "answer_start": 0}]}
                            for i, question in enumerate(["Who wrote the first program?", f"Please {phrase} now?"])
                        ],
                    }
                ],
            }
        ],
    }
    path = tmp_path / "guarded.json"
    path.write_text(json.dumps(content))
    done = qa_eval("run-experiment", "--local", "--dataset", str(path), "--json", "--model", "nova-lite")
    (experiment,) = json.loads(done.stdout)["experiments"]
    assert experiment["outcomes"] == {"answered": 1, "blocked_input": 1}
    (failed,) = [run for run in runs_in_phoenix(in_stack_folder, experiment) if run["error"]]
    assert failed["error"] == "blocked_input: Your request contains content that cannot be processed."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "--local"),
        (("--gateway", "http://127.0.0.1:9", "--no-phoenix"), "No gateway answers at http://127.0.0.1:9"),
        (("--local", "--dataset", "nowhere.json"), "nowhere.json: check the path."),
        (("--local", "--examples", "some"), "`--examples` must be a positive integer or `all`, not `some`"),
        (("--local", "--prompt", "nowhere.txt"), "nowhere.txt cannot be read (No such file"),
        (("--local", "--replay", "nowhere.json"), "nowhere.json cannot be read (No such file"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], sentence: str) -> None:
    done = qa_eval("run-experiment", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("qa-eval: ")
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_an_unknown_model_and_a_wrong_key(stack: RunningStack) -> None:
    servers = ("--gateway", stack.gateway_url, "--phoenix", stack.phoenix_url)
    unknown = qa_eval("run-experiment", *servers, "--model", "gpt-9", QA_EVAL_GATEWAY_KEY=stack.gateway_key)
    assert (unknown.returncode, "has no model 'gpt-9': choose `--model` from" in unknown.stderr) == (2, True)
    wrong = qa_eval("run-experiment", *servers, QA_EVAL_GATEWAY_KEY="sk-not-this-one")
    assert (wrong.returncode, "refuses the key" in wrong.stderr) == (2, True)
    assert "sk-not-this-one" not in wrong.stderr


def test_the_aliases_of_the_first_design_answer(stack: RunningStack) -> None:
    done = qa_eval(
        *("run-experiment", "--gateway", stack.gateway_url, "--no-phoenix", "--examples", "1", "--json"),
        *("--model", "claude-3-sonnet", "--model", "claude-3-haiku", "--model", "titan-text"),
        QA_EVAL_GATEWAY_KEY=stack.gateway_key,
    )
    assert done.returncode == 0, done.stderr
    assert [experiment["answered"] for experiment in json.loads(done.stdout)["experiments"]] == [1, 1, 1]


def test_a_dead_provider_ends_the_run_with_3_and_says_what_is_kept() -> None:
    from fake_gateway import error

    gateway = FakeGateway(lambda *_: error(503, "the provider is down"))
    try:
        done = qa_eval("run-experiment", "--gateway", gateway.url, "--no-phoenix", QA_EVAL_GATEWAY_KEY=KEY)
    finally:
        gateway.close()
    assert done.returncode == 3
    assert "STOPPED EARLY, NOT A RESULT" in done.stdout
    assert "the provider is down" in done.stderr
    kept = re.search(r"The answers so far are kept; `qa-eval resume (\S+)` continues\.$", done.stderr.strip())
    assert kept
    shown = qa_eval("runs", "show", kept[1])
    assert "STOPPED EARLY, NOT A RESULT" in shown.stdout


def test_a_full_disk_under_the_journal_is_one_sentence() -> None:
    import resource

    gateway = FakeGateway(lambda *_: "Paris")
    try:
        done = subprocess.run(
            [*COMMAND, "run-experiment", "--gateway", gateway.url, "--no-phoenix"],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "QA_EVAL_GATEWAY_KEY": KEY},
            # No file may grow beyond this: the system then refuses the write, as a full disk does.
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
            check=False,
        )
    finally:
        gateway.close()
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    kept = re.search(
        r"qa-eval: The journal \S+ cannot be written \(.*\): free some space, .*`qa-eval resume (\S+)`", done.stderr
    )
    assert kept
    before = json.loads(qa_eval("runs", "show", kept[1], "--json").stdout)["experiments"][0]["examples"]
    gateway = FakeGateway(lambda *_: "Paris")
    try:
        resumed = qa_eval("resume", kept[1], "--gateway", gateway.url, QA_EVAL_GATEWAY_KEY=KEY)
    finally:
        gateway.close()
    assert resumed.returncode == 0, resumed.stderr
    assert before + gateway.asked.total() == 100


def test_ctrl_c_says_what_was_kept() -> None:
    async def slow() -> Any:
        import asyncio

        from fake_gateway import completion

        await asyncio.sleep(0.3)
        return completion("Paris")

    gateway = FakeGateway(lambda *_: slow())
    try:
        process = subprocess.Popen(
            [*COMMAND, "run-experiment", "--gateway", gateway.url, "--no-phoenix"],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "QA_EVAL_GATEWAY_KEY": KEY},
        )
        while gateway.asked.total() < 20:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        gateway.close()
    assert process.returncode == 130
    assert "Traceback" not in stderr
    kept = re.search(r"interrupted; (\d+) of 100 answers are kept; `qa-eval resume (\S+)` continues\.", stderr)
    assert kept
    assert int(kept[1]) >= 8
    assert f"{kept[2]}" in qa_eval("runs", "list").stdout
