"""What else a run has, on Ray: judges, looks that end a comparison early, added metrics, a cluster of this machine."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from commands import COMMAND, as_file, environment
from fake_gateway import KEY, Serve
from fake_judge import answers_and_judges, is_judgement
from numbers_dataset import dataset, right, run
from phoenix_traces import traces
from ray_cluster import Cluster

import qa_eval
from qa_eval.data import Example
from qa_eval.stack import RunningStack

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_judges_ask_through_workers_and_are_paid_once(
    cluster: Cluster, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    gateway = serve(answers_and_judges())
    result = run(
        dataset(12), gateway, ray=cluster.address, metrics=["judge:correctness"], judge_model="other", planted=0
    )
    summary = result.experiments[0].summary("correctness")
    assert (summary.mean, summary.scored, summary.errors) == (1.0, 12, 0)
    asked = [body for body in gateway.requests if is_judgement(body["messages"][-1]["content"])]
    assert len(asked) == 12
    assert {body["model"] for body in asked} == {"other"}


def test_a_comparison_that_is_decided_ends_early(cluster: Cluster, own: str) -> None:
    spec = {
        "dataset": {"path": str(as_file(dataset(210), Path.cwd())), "examples": "all", "columns": {"group": "id"}},
        "systems": [{"name": name, "task": f"{own}:{name}"} for name in ("answer", "wrong")],
        "metrics": ["exact_match", "f1"],
        "stop": {"looks": 5},
        "concurrency": 4,
        "recording": {"phoenix": False},
    }
    ended = []
    for ray in (cluster.address, None):
        result = qa_eval.run_experiment(qa_eval.ExperimentSpec.model_validate({**spec, "ray": ray}))
        ended.append([(each.candidate, each.number, each.estimate, each.decision) for each in result.looks])
    assert ended[0] == ended[1] != []


def test_metrics_are_added_on_ray_to_a_run_without_it(cluster: Cluster, own: str) -> None:
    run = qa_eval.run_experiment(dataset(20), task=lambda example: example.references[0], record=False)
    added = qa_eval.evaluate(run.run_id, metrics=[f"{own}:letters"], ray=cluster.address)
    summary = added.experiments[0].summary("letters")
    assert (summary.scored, summary.errors) == (18, 2)


def test_calls_of_a_task_and_a_metric_are_under_their_question(
    cluster: Cluster, serve: Serve, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    url = f"{serve(lambda *_: 'item-1').url}/v1"

    def call(model: str, text: str) -> str:
        import litellm

        answer = litellm.completion(model=model, api_base=url, messages=[{"role": "user", "content": text}])
        return str(answer.choices[0].message.content)

    def task(example: Example) -> str:
        return call("openai/gpt-4o", example.question)

    def judged(example: Example, answer: str) -> float:
        return float(len(call("openai/gpt-4o-mini", answer)))

    result = qa_eval.run_experiment(
        dataset(3, "on-ray"),
        servers=qa_eval.Servers("", None, stack.phoenix_url),
        task=task,
        metrics=[judged],
        ray={"address": cluster.address, "environment": ["OPENAI_API_KEY"]},
    )
    assert result.experiments[0].mean("judged") == 6.0
    found = traces(stack, result.experiments[0].phoenix_id, 9)
    assert len(found) == 3
    for spans in found:
        (root,) = [span for span in spans if span["spanKind"] == "chain"]
        assert [span["parentId"] for span in spans if span["spanKind"] == "llm"] == [root["spanId"]] * 2


def test_secrets_reach_workers_and_are_in_nothing_that_ray_keeps_or_shows(
    cluster: Cluster, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = secrets.token_hex(16)
    monkeypatch.setenv("QA_TEST_VALUE", value)
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    driver, large = os.getpid(), b"x" * 300_000

    def has_variable(example: Example, answer: str) -> float:
        return float(os.environ["QA_TEST_VALUE"] == value and os.getpid() != driver and len(large) > 0)

    result = run(
        dataset(4),
        serve(right),
        ray={"address": cluster.address, "environment": ["QA_TEST_VALUE"]},
        metrics=[has_variable],
    )
    assert result.experiments[0].mean("exact_match") == 1.0, "the gateway's key arrived"
    assert result.experiments[0].mean("has_variable") == 1.0, "the function and the variable arrived"
    with own_driver(cluster):
        shown = kept_by_ray()
    session = Path(cluster.head_node.get_session_dir_path())
    logs = {str(path): path.read_bytes() for path in session.rglob("*") if path.is_file()}
    assert b"Worker.start" in shown
    assert len(logs) > 10
    for secret in (value.encode(), KEY.encode()):
        assert secret not in shown
        assert not [path for path, text in logs.items() if secret in text]


@contextmanager
def own_driver(cluster: Cluster) -> Iterator[None]:
    """Connected with the cluster as any other of its users is."""
    import ray

    ray.init(cluster.address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def kept_by_ray() -> bytes:
    """What the cluster's head keeps of jobs, actors, workers and tasks: the dashboard shows nothing else."""
    from ray._private.state import state

    head = state._connect_and_get_accessor()
    end = time.monotonic() + 10
    while b"Worker.start" not in (tasks := b"".join(head.get_task_events())) and time.monotonic() < end:
        time.sleep(0.2)
    tables = (head.get_job_table(), head.get_actor_table(None, None), head.get_worker_table())
    return tasks + b"".join(row for table in tables for row in table)


def test_a_cluster_of_this_machine_listens_on_loopback_alone_and_ends_with_the_run(own: str, tmp_path: Path) -> None:
    (tmp_path / "qa-eval.yaml").write_text(
        f"dataset: {{ path: {as_file(dataset(2), tmp_path)} }}\n"
        f"systems: [{{ name: own, task: '{own}:marks' }}]\n"
        "metrics: [exact_match]\n"
        "recording: { phoenix: false }\n"
        "ray: { address: local, environment: [QA_TEST_VALUE] }\n"
    )
    clean = {**environment(), "QA_TEST_VALUE": "item-1"}
    for variable in ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_AUTH_MODE"):
        clean.pop(variable, None)
    command = [*COMMAND, "run-experiment", "qa-eval.yaml"]
    with subprocess.Popen(command, env=clean, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        listening = {
            connection.laddr.ip
            for each in family
            for connection in each.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        _, complaints = process.communicate()
    assert process.returncode == 0, complaints
    assert listening
    assert listening <= LOOPBACK
    assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in family)
    assert qa_eval.open_run("latest").experiments[0].mean("exact_match") == 0.5, "the variable's value arrived"
    assert not re.search("Traceback|WARNING", complaints)
    assert os.environ.get("QA_TEST_VALUE") is None
