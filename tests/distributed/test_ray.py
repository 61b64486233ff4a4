"""The same run on a real Ray cluster on loopback: a head and two nodes, and what is not lost when they die."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from commands import COMMAND, as_file, environment
from commands import qa_eval as qa_eval_command
from fake_gateway import KEY, FakeGateway, Serve, blocked, completion, error
from numbers_dataset import PROMPT, dataset, number, right, run
from ray_cluster import Cluster, connections, kill_node, two_more_nodes

import qa_eval
from qa_eval.distributed.worker import Setup
from qa_eval.distributed.workers import EMBED, open_workers
from qa_eval.embedding import Vectors, default_embedder
from qa_eval.embedding.choose import find_embedder
from qa_eval.experiment.results import RunResult
from qa_eval.spec.ray import RaySpec

ANSWERS = """
    SELECT system, example_id, repetition, outcome, text, message, prompt_tokens, completion_tokens, cost_usd,
        deployment, deployment_model, fallbacks, gateway_retries, tries
    FROM answers ORDER BY system, example_id, repetition
"""
SCORES = """
    SELECT system, example_id, repetition, name, value, label, explanation, error
    FROM scores JOIN answers ON answers.seq = scores.answer ORDER BY system, example_id, repetition, name
"""


def run_tasks(own: str, count: int, ray: Any, *tasks: str, metrics: tuple[str, ...] = (), **more: Any) -> RunResult:
    """A run of own tasks; answers and metrics come from the module beside it."""
    data = {
        "dataset": {"path": str(as_file(dataset(count), Path.cwd())), "examples": "all"},
        "systems": [{"name": name, "task": f"{own}:{name}"} for name in tasks],
        "metrics": ["exact_match", "f1", "similarity", *({"python": f"{own}:{name}"} for name in metrics)],
        "recording": {"phoenix": False},
        "ray": ray,
        **more,
    }
    return qa_eval.run_experiment(qa_eval.ExperimentSpec.model_validate(data))


def rows(result: RunResult) -> tuple[list[Any], list[Any]]:
    """Answers and scores as the journal holds them, but for times and traces."""
    with closing(sqlite3.connect(result.journal)) as db:
        return db.execute(ANSWERS).fetchall(), db.execute(SCORES).fetchall()


def test_a_gateways_run_is_the_same_row_for_row(cluster: Cluster, serve: Serve, own: str) -> None:
    kinds: dict[int, Any] = {0: lambda: blocked("pre_call"), 1: lambda: error(500), 2: lambda: ""}
    gateway = serve(lambda g, p: kinds[number(p)]() if number(p) in kinds else right(g, p) + " or so")
    on_ray, alone = (
        run(dataset(60), gateway, ray=ray, metrics=[f"{own}:letters"], max_errors=0.5, models=("qa", "other"))
        for ray in (cluster.address, "none")
    )
    assert len(rows(on_ray)[0]) == 120
    assert rows(on_ray) == rows(alone)
    assert [e.outcomes for e in on_ray.experiments] == [e.outcomes for e in alone.experiments]
    assert on_ray.experiments[0].interval("f1") == alone.experiments[0].interval("f1")
    assert gateway.asked.total() == 240


def test_own_tasks_are_the_same_row_for_row(cluster: Cluster, own: str) -> None:
    ray = {"address": cluster.address, "tasks": {"workers": 3}}
    on_ray, alone = (run_tasks(own, 40, each, "answer", "slow", metrics=("letters",)) for each in (ray, None))
    assert len(rows(on_ray)[1]) == 80 * 4
    assert rows(on_ray) == rows(alone)
    assert {error for *_, error in rows(on_ray)[1] if error} == {"ValueError: no fives"}


def test_embeddings_are_bit_for_bit_those_of_one_machine(cluster: Cluster) -> None:
    texts = [f"text {i} " + "and more " * (i % 9) for i in range(700)]

    async def embed() -> Vectors:
        spec = RaySpec.model_validate({"address": cluster.address, "embed": {"workers": 2}})
        load = partial(find_embedder, "minilm", "", None)
        async with open_workers(spec, ".", {EMBED: Setup(embedder=load)}) as workers:
            assert workers.embedder is not None
            return await asyncio.to_thread(workers.embedder.embed, texts)

    assert (asyncio.run(embed()) == default_embedder().embed(texts)).all()


def test_poison_is_an_outcome_or_an_error_and_the_others_are_answered_and_scored(cluster: Cluster, own: str) -> None:
    ray = {"address": cluster.address, "tasks": {"workers": 2}}
    result = run_tasks(own, 40, ray, "poison", metrics=("deadly",), limits={"errors": 0.5})
    assert result.experiments[0].outcomes == {"answered": 39, "task_error": 1}
    (failed,) = [row for row in rows(result)[0] if row[3] == "task_error"]
    assert failed[1] == "numbers-7"
    assert failed[5] == "the worker died 3 times while it worked on this"
    assert result.stopped is None
    errors = {row[1]: row[-1] for row in rows(result)[1] if row[3] == "deadly" and row[-1]}
    assert errors == {"numbers-9": "the worker died 3 times while it worked on this"}


def test_a_node_killed_in_mid_run_costs_what_it_had_in_flight(cluster: Cluster, serve: Serve) -> None:
    count, concurrency = 200, 8
    with two_more_nodes(cluster, "mortal") as nodes:
        killed = threading.Event()

        def kill_busy() -> None:
            try:
                kill_node(max(nodes, key=lambda node: connections(node, gateway.url)))
            finally:
                killed.set()

        async def slow(gateway: FakeGateway, prompt: str) -> Any:
            if gateway.asked.total() == 20:
                threading.Thread(target=kill_busy).start()
            while gateway.asked.total() >= 20 and not killed.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            return completion(right(gateway, prompt))

        gateway = serve(slow)
        ray = {"address": cluster.address, "tasks": {"workers": 2, "resources": {"mortal": 1}}}
        result = run(dataset(count), gateway, ray=ray, concurrency=concurrency)
    assert result.experiments[0].outcomes == {"answered": count}
    assert result.experiments[0].mean("exact_match") == 1.0
    assert len(gateway.asked) == count
    assert 0 < gateway.asked.total() - count <= concurrency
    assert max(gateway.asked.values()) <= 2


def test_a_killed_driver_is_resumed_on_ray_and_then_without_it(cluster: Cluster, serve: Serve, tmp_path: Path) -> None:
    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        await asyncio.sleep(0.05)
        return completion(right(gateway, prompt))

    gateway, count = serve(slow), 100
    (tmp_path / "prompt.txt").write_text(PROMPT)
    arguments = ["run-experiment", "--dataset", str(as_file(dataset(count), tmp_path)), "--examples", "all"]
    arguments += ["--prompt", str(tmp_path / "prompt.txt"), "--gateway", gateway.url, "--no-phoenix"]
    arguments += ["--concurrency", "4", "--ray", cluster.address]
    killed_after(30, gateway, arguments)
    killed_after(60, gateway, ["resume", "latest", "--concurrency", "4"])
    done = qa_eval_command("resume", "latest", "--ray", "none", QA_EVAL_GATEWAY_KEY=KEY)
    assert done.returncode == 0, done.stderr
    result = qa_eval.open_run("latest")
    assert result.experiments[0].outcomes == {"answered": count}
    assert gateway.asked.total() - count <= 2 * 4, "what was in flight"


def killed_after(answers: int, gateway: FakeGateway, arguments: list[str]) -> None:
    """Run a command and kill its process when the gateway has been asked so often."""
    with subprocess.Popen([*COMMAND, *arguments], env=environment(), stderr=subprocess.DEVNULL) as process:
        while gateway.asked.total() < answers:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()


def test_a_429_to_one_worker_slows_all(cluster: Cluster, serve: Serve) -> None:
    times: list[float] = []

    def limited(gateway: FakeGateway, prompt: str) -> Any:
        times.append(time.monotonic())
        if len(times) == 20:
            return error(429, "slow down", **{"retry-after": "2"})
        return completion(right(gateway, prompt))

    ray = {"address": cluster.address, "tasks": {"workers": 3}}
    result = run(dataset(60), serve(limited), ray=ray, concurrency=2)
    assert result.experiments[0].outcomes == {"answered": 60}
    after = [each - times[19] for each in times[20:]]
    assert sum(each < 1.9 for each in after) <= 1, "only what was in flight"
    assert after[-1] > 2.0


def test_an_early_end_by_errors_is_that_of_one_machine(cluster: Cluster, serve: Serve) -> None:
    gateway = serve(lambda *_: error(500, "the provider is down"))
    result = run(dataset(300), gateway, ray=cluster.address)
    assert result.stopped is not None
    assert "the provider is down" in result.stopped
