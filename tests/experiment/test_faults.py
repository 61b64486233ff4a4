"""What must not be lost, when things are killed: real processes, a real Phoenix, a real LiteLLM.

Only the answers come from a gateway at its network edge, which counts what it is asked.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from aiohttp import web
from commands import COMMAND, as_file, environment
from fake_gateway import KEY, FakeGateway, Serve, completion, error
from killing import kill_server
from numbers_dataset import PROMPT, dataset, number, right, run

import qa_eval
from qa_eval import stack as local_stack
from qa_eval.experiment import calls
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.observer import NullObserver
from qa_eval.stack import RunningStack

SCORES = {"exact_match", "f1", "semantic_similarity", "cost_usd"}
KILLS = 5


def runs_of(phoenix: str, experiment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{phoenix}/v1/experiments/{experiment}/json", timeout=60).json()
    return found


def test_killed_at_random_moments_nothing_is_lost_and_nothing_asked_twice(
    serve: Serve, stack: RunningStack, tmp_path: Path
) -> None:
    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        await asyncio.sleep(0.15)
        return completion(right(gateway, prompt))

    gateway, count, concurrency = serve(slow), 200, 4
    path, dice = as_file(dataset(count, "killed"), tmp_path), random.Random(7)
    arguments = ["run-experiment", "--dataset", str(path), "--examples", "all", "--gateway", gateway.url]
    arguments += ["--phoenix", stack.phoenix_url, "--concurrency", str(concurrency)]
    (tmp_path / "prompt.txt").write_text(PROMPT)
    arguments += ["--prompt", str(tmp_path / "prompt.txt")]
    for kill in range(KILLS):
        asked = gateway.asked.total()
        with subprocess.Popen([*COMMAND, *arguments], env=environment(), stderr=subprocess.DEVNULL) as process:
            while gateway.asked.total() == asked and process.poll() is None and asked < count + KILLS * concurrency:
                time.sleep(0.01)
            time.sleep(dice.uniform(0.0, 0.6))
            process.kill()
        if kill == 0:
            arguments = ["resume", "latest", "--concurrency", str(concurrency)]
    done = subprocess.run(
        [*COMMAND, *arguments, "--json"], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    (experiment,) = document["experiments"]
    assert experiment["answered"] == experiment["examples"] == count
    assert experiment["scores"]["exact_match"] == 1.0
    assert len(gateway.asked) == count
    assert gateway.asked.total() - count <= KILLS * concurrency, "only what was in flight is asked again"
    runs = runs_of(stack.phoenix_url, experiment["phoenix"]["experiment_id"])
    assert len({run["example_id"] for run in runs}) == len(runs) == count
    assert all({a["name"] for a in run["annotations"]} == SCORES for run in runs)


def test_of_two_processes_that_resume_one_run_the_second_is_refused(serve: Serve) -> None:
    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        await asyncio.sleep(0.3)
        return completion("an answer")

    gateway = serve(slow)
    arguments = ["run-experiment", "--gateway", gateway.url, "--no-phoenix", "--concurrency", "2"]
    first = subprocess.Popen(
        [*COMMAND, *arguments], env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        while gateway.asked.total() < 4:
            assert first.poll() is None
            time.sleep(0.02)
        second = subprocess.run(
            [*COMMAND, "resume", "latest"], env=environment(), capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert re.search(r"^qa-eval: Another process is at work on run \S+: wait until", second.stderr)
    finally:
        first.kill()
        first.communicate()


def test_phoenix_killed_and_started_again_has_everything(serve: Serve, in_stack_folder: RunningStack) -> None:
    stack = in_stack_folder
    restarts: list[threading.Thread] = []

    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        if gateway.asked.total() == 60:
            restarts.append(threading.Thread(target=restart))
            restarts[0].start()
        # However long Phoenix takes to start on this machine, the run goes on meanwhile.
        while gateway.asked.total() > 140 and restarts[0].is_alive():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)
        return completion(right(gateway, prompt))

    def restart() -> None:
        kill_server("phoenix")
        local_stack.up()

    result = run(dataset(150, "restarted"), serve(slow), phoenix=stack.phoenix_url, concurrency=6)
    restarts[0].join()
    assert (result.unrecorded, result.unrecorded_reason, result.stopped) == (0, None, None)
    runs = runs_of(stack.phoenix_url, str(result.experiments[0].phoenix_id))
    assert len(runs) == 150
    assert all({a["name"] for a in run["annotations"]} == SCORES for run in runs)


def test_the_gateway_killed_and_started_again_is_waited_for(
    in_stack_folder: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = in_stack_folder
    monkeypatch.setattr(calls, "PATIENCE_S", 300.0)

    class Killing(NullObserver):
        count = 0

        def answered(self, *_: object) -> None:
            self.count += 1
            if self.count == 3:
                _kill_listener(int(stack.gateway_url.rsplit(":", 1)[1]))
                self.restart = threading.Thread(target=local_stack.up)
                self.restart.start()

    killing = Killing()
    servers = Servers(stack.gateway_url, stack.gateway_key)
    result = qa_eval.run_experiment(
        dataset(10),
        servers=servers,
        models="nova-micro",
        prompts=PROMPT,
        concurrency=2,
        max_tokens=4,
        record=False,
        observer=killing,
    )
    killing.restart.join()
    (experiment,) = result.experiments
    assert result.stopped is None
    assert len(experiment.answers) == 10
    assert experiment.outcomes["gateway_error"] == 0, [e.reply.message for e in experiment.answers]


def test_a_gateway_that_stays_away_stops_the_run_and_fails_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PATIENCE_S", 0.5)

    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        await asyncio.sleep(0.05)
        return completion(right(gateway, prompt))

    gateway = serve(slow)

    class Closing(NullObserver):
        count = 0

        def answered(self, *_: object) -> None:
            self.count += 1
            if self.count == 30:
                threading.Thread(target=gateway.close).start()

    result = run(dataset(200), gateway, concurrency=4, observer=Closing())
    assert "the gateway was unreachable" in str(result.stopped)
    assert set(result.experiments[0].outcomes) <= {"answered", "gateway_error"}
    kept = len(result.experiments[0].answers)
    assert 30 <= kept < 200
    other = serve(right)
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    resumed = qa_eval.resume(result.run_id, gateway=other.url, retry_failed=True)
    assert resumed.experiments[0].outcomes == {"answered": 200}
    assert resumed.stopped is None


async def _hang() -> web.Response:
    await asyncio.sleep(30)
    return completion("late")


class _Cut(web.Response):
    async def prepare(self, request: web.BaseRequest) -> Any:
        assert request.transport is not None
        request.transport.close()


def test_a_gateway_that_fails_in_every_way_loses_nothing_and_every_failure_has_its_name(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {
        0: lambda g, p: error(503, "busy"),
        1: lambda g, p: error(429, "slow down", **{"retry-after": "0.2"}) if g.asked[p] < 2 else right(g, p),
        2: lambda g, p: _hang(),
        3: lambda g, p: _Cut(),
        4: lambda g, p: web.Response(text='{"choices": [', content_type="application/json"),
        5: lambda g, p: web.json_response({"choices": []}),
    }
    gateway = serve(lambda g, p: kinds.get(number(p) % 10, right)(g, p))
    result = run(dataset(120), gateway, max_errors=1.0, timeout=1.0, concurrency=16)
    (experiment,) = result.experiments
    assert result.stopped is None
    outcomes = {
        i: {e.reply.outcome.value for e in experiment.answers if number(e.example.question) % 10 == i}
        for i in range(10)
    }
    answered = {"answered"}
    assert outcomes == {
        **dict.fromkeys((1, 6, 7, 8, 9), answered),
        0: {"gateway_error"},
        2: {"timeout"},
        3: {"gateway_error"},
        4: {"invalid_response"},
        5: {"invalid_response"},
    }
    assert len(experiment.answers) == 120
    asked = Counter(dict.fromkeys(range(10), 0))
    for prompt, times in gateway.asked.items():
        asked[number(prompt) % 10] += times
    assert [asked[i] for i in range(10)] == [12, 24, 12, 12 * calls.TRIES, 12, 12, 12, 12, 12, 12]

    mended = serve(right)
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    again = qa_eval.resume(result.run_id, gateway=mended.url, retry_failed=True)
    assert again.experiments[0].outcomes == {"answered": 120}
    assert mended.asked.total() == 60
    with sqlite3.connect(result.journal) as journal:
        assert journal.execute("SELECT count(*) FROM retried").fetchone() == (60,)
    journal.close()


def test_a_failure_in_phoenix_is_replaced_by_the_answer_of_a_later_try(
    serve: Serve, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = serve(lambda g, p: error(500, "boom") if number(p) < 3 and g.asked[p] == 1 else right(g, p))
    result = run(dataset(12, "mended"), gateway, phoenix=stack.phoenix_url, max_errors=1.0)
    assert result.experiments[0].outcomes == {"answered": 9, "gateway_error": 3}
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    again = qa_eval.resume(result.run_id, gateway=gateway.url, phoenix=stack.phoenix_url, retry_failed=True)
    assert again.experiments[0].outcomes == {"answered": 12}
    assert again.experiments[0].phoenix_id == result.experiments[0].phoenix_id
    runs = runs_of(stack.phoenix_url, str(again.experiments[0].phoenix_id))
    assert [run["error"] for run in runs] == [None] * 12
    scores = [a["score"] for run in runs for a in run["annotations"] if a["name"] == "exact_match"]
    assert scores == [1.0] * 12


def test_without_phoenix_the_run_goes_on_and_is_recorded_later(
    serve: Serve, in_stack_folder: RunningStack, tmp_path: Path
) -> None:
    gateway, nowhere = serve(right), f"http://127.0.0.1:{_free_port()}"
    path = as_file(dataset(40, "later"), tmp_path)
    arguments = ["run-experiment", "--dataset", str(path), "--gateway", gateway.url, "--phoenix", nowhere]
    variables = {**environment(), "QA_EVAL_DATA_DIR": str(tmp_path / "other")}
    patience = (
        "import qa_eval.phoenix.client as p; from qa_eval.retries import while_raising; "
        "p.UNTIL_TAKEN = while_raising(p.PhoenixUnavailable, tries=2); from qa_eval.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", patience, *arguments], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert f"No Phoenix answers at {nowhere}" in done.stderr
    assert "The run continues" in done.stderr
    found = re.search(r"Phoenix lacks 40 answers.*`qa-eval resume (\S+)` records them", done.stderr)
    assert found
    resumed = subprocess.run(
        [*COMMAND, "resume", found[1], "--phoenix", in_stack_folder.phoenix_url, "--json"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    (experiment,) = json.loads(resumed.stdout)["experiments"]
    runs = runs_of(in_stack_folder.phoenix_url, experiment["phoenix"]["experiment_id"])
    assert len(runs) == 40
    assert gateway.asked.total() == 40
    query = "query($t: String!) { getTraceByOtelId(traceId: $t) { rootSpan { name } } }"
    body = {"query": query, "variables": {"t": runs[0]["trace_id"]}}
    trace = httpx.post(f"{in_stack_folder.phoenix_url}/graphql", json=body, timeout=30).json()
    assert trace["data"]["getTraceByOtelId"]["rootSpan"]["name"] == "question", "its trace comes later too"


def _kill_listener(port: int) -> None:
    """Kill -9 whoever listens on a port of the stack."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == "LISTEN" and connection.laddr.port == port and connection.pid:
            process = psutil.Process(connection.pid)
            process.kill()
            process.wait(10)
            return
    raise AssertionError(f"nobody listens on {port}")


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
