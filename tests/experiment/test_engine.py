"""Whole runs: the engine, the journal and the recorder, against a gateway that fails as told and a real Phoenix."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from typing import Any

import httpx
import pytest
from fake_gateway import FakeGateway, Serve, blocked, completion, error
from numbers_dataset import dataset, number, right, run

from qa_eval.data import Dataset, Example
from qa_eval.errors import PhoenixUnavailable
from qa_eval.experiment import recorder
from qa_eval.experiment.observer import NullObserver
from qa_eval.paths import data_dir
from qa_eval.phoenix import client as phoenix_server
from qa_eval.phoenix.experiments import Evaluation
from qa_eval.retries import while_raising
from qa_eval.stack import RunningStack
from qa_eval.targets.outcome import Outcome


def test_every_answer_is_scored_and_summed_up(serve: Serve) -> None:
    gateway = serve(lambda g, p: right(g, p) if number(p) % 4 else "something else")
    result = run(dataset(40), gateway, models=("qa", "other"))
    assert [experiment.system for experiment in result.experiments] == ["qa", "other"]
    for experiment in result.experiments:
        assert experiment.mean("exact_match") == 0.75
        assert experiment.answered == 40
        assert experiment.total("cost_usd") == pytest.approx(40 * 0.0005)
        assert experiment.total("prompt_tokens") == 1600
        interval = experiment.interval("exact_match")
        assert interval is not None
        assert interval.groups == 7
        assert interval.reason is not None
    frame = result.to_pandas()
    assert len(frame) == 80
    assert set(frame["outcome"]) == {"answered"}
    assert gateway.asked.total() == 80


def test_systems_are_interleaved(serve: Serve) -> None:
    gateway = serve(right)
    run(dataset(10), gateway, models=("qa", "other"), concurrency=1)
    assert [request["model"] for request in gateway.requests] == ["qa", "other"] * 10


def test_failures_are_counted_beside_the_score(serve: Serve) -> None:
    kinds: dict[int, Any] = {0: lambda: blocked("pre_call"), 1: lambda: error(500), 2: lambda: ""}
    gateway = serve(lambda g, p: kinds[number(p)]() if number(p) in kinds else right(g, p))
    (experiment,) = run(dataset(20), gateway).experiments
    assert experiment.outcomes == {"answered": 17, "blocked_input": 1, "gateway_error": 1, "empty": 1}
    assert (experiment.answered, experiment.blocked, experiment.failed) == (17, 1, 2)
    assert experiment.mean("exact_match") == 17 / 20
    assert experiment.mean("exact_match", answered_only=True) == 1.0


def test_too_many_failures_stop_the_run_and_say_why(serve: Serve) -> None:
    gateway = serve(lambda *_: error(500, "the provider is down"))
    result = run(dataset(500), gateway)
    assert result.stopped is not None
    assert "the provider is down" in result.stopped
    assert gateway.asked.total() < 60
    assert len(result.to_pandas()) == gateway.asked.total()


def test_a_share_of_failures_above_the_limit_is_never_passed_over(serve: Serve) -> None:
    gateway = serve(lambda g, p: error(500) if number(p) in (3, 5) else right(g, p))
    assert run(dataset(10), gateway).stopped is not None
    assert run(dataset(10), gateway, max_errors=0.2).stopped is None


class Stop(NullObserver):
    """Interrupts the run after some answers, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left = after

    def answered(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_keeps_every_answer_that_was_counted(serve: Serve) -> None:
    gateway = serve(right)
    with pytest.raises(KeyboardInterrupt):
        run(dataset(200), gateway, prompts="{context} {question}\n\nAnswer:", observer=Stop(after=30))
    (journal,) = data_dir().glob("runs/*/journal.sqlite")
    with sqlite3.connect(journal) as db:
        (kept,) = db.execute("SELECT count(*) FROM answers").fetchone()
    db.close()
    assert 30 <= kept < 200


def test_phoenix_has_every_run_every_score_and_the_trace(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(lambda g, p: blocked("post_call") if number(p) == 3 else right(g, p))
    result = run(dataset(30, "recorded"), gateway, phoenix=stack.phoenix_url)
    assert result.unrecorded == 0
    (experiment,) = result.experiments
    runs = _json(f"{stack.phoenix_url}/v1/experiments/{experiment.phoenix_id}/json")
    assert len(runs) == 30
    by_question = {run["input"]["question"]: run for run in runs}
    failed = by_question["What is number 3?"]
    assert failed["error"].startswith("blocked_output: Your request contains")
    assert by_question["What is number 4?"]["output"] == {"answer": "item-4"}
    for run_ in runs:
        names = {"exact_match", "f1", "semantic_similarity"} | (set() if run_["error"] else {"cost_usd"})
        assert {a["name"] for a in run_["annotations"]} == names
    scores = [a["score"] for r in runs for a in r["annotations"] if a["name"] == "exact_match"]
    assert sum(scores) / len(scores) == experiment.mean("exact_match") == 29 / 30


def test_what_phoenix_does_not_take_is_kept_and_said(
    serve: Serve, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phoenix_server, "UNTIL_TAKEN", while_raising(PhoenixUnavailable, tries=2))
    deleted: list[str] = []

    def answer(gateway: FakeGateway, prompt: str) -> str:
        if not deleted:
            (found,) = _json(f"{stack.phoenix_url}/v1/datasets?name=deleted")["data"]
            (experiment,) = _json(f"{stack.phoenix_url}/v1/datasets/{found['id']}/experiments")["data"]
            httpx.delete(f"{stack.phoenix_url}/v1/experiments/{experiment['id']}", timeout=30).raise_for_status()
            deleted.append(experiment["id"])
        return right(gateway, prompt)

    result = run(dataset(6, "deleted"), serve(answer), phoenix=stack.phoenix_url)
    assert result.unrecorded == 6
    assert "Phoenix does not take what is recorded" in str(result.unrecorded_reason)
    assert result.experiments[0].mean("exact_match") == 1.0


def test_facts_are_recorded_when_asked_for(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(lambda g, p: right(g, p) if number(p) else "I cannot help with that.")
    result = run(dataset(4, "facts"), gateway, phoenix=stack.phoenix_url, facts=True)
    runs = _json(f"{stack.phoenix_url}/v1/experiments/{result.experiments[0].phoenix_id}/json")
    (refused,) = [run for run in runs if run["input"]["question"] == "What is number 0?"]
    found = {a["name"]: (a["score"], a["label"]) for a in refused["annotations"]}
    assert found["declined"] == (None, "refused")
    assert found["question_type"] == (None, "what")
    assert found["answer_contained"] == (0.0, None)
    assert found["length_ratio"][0] > 1
    (similar,) = [a for a in refused["annotations"] if a["name"] == "semantic_similarity"]
    assert similar["metadata"] == {"embedder": "all-MiniLM-L6-v2/onnx-int8@8199be6f"}


def test_unanswerable_is_an_answer_in_version_2(serve: Serve) -> None:
    examples = [
        Example("a", "What is number 1?", "Number 1 is item-1.", ("item-1",), "T"),
        Example("b", "What is number 2?", "Number 1 is item-1.", (), "T"),
        Example("c", "What is number 3?", "Number 1 is item-1.", (), "T"),
    ]
    answers = {1: "item-1", 2: "Unanswerable.", 3: "item-1"}
    gateway = serve(lambda _, p: answers[number(p)])
    (experiment,) = run(Dataset("v2", tuple(examples), "2.0"), gateway).experiments
    assert experiment.outcomes == {"answered": 2, "no_answer": 1}
    assert experiment.mean("exact_match") == experiment.mean("f1") == 2 / 3
    assert experiment.answered == 3


def test_one_trace_an_answer_reaches_the_gateway(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(right)
    result = run(dataset(5, "traced"), gateway, phoenix=stack.phoenix_url)
    traces = set(result.to_pandas()["trace_id"])
    assert len(traces) == 5
    assert {headers["traceparent"].split("-")[1] for headers in gateway.headers} == traces


def test_loading_and_running_twice_makes_one_dataset(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(right)
    for _ in range(2):
        run(dataset(6, "twice"), gateway, phoenix=stack.phoenix_url)
    datasets = _json(f"{stack.phoenix_url}/v1/datasets?name=twice")["data"]
    assert len(datasets) == 1
    versions = _json(f"{stack.phoenix_url}/v1/datasets/{datasets[0]['id']}/versions")["data"]
    assert len(versions) == 1


def test_a_reply_says_how_it_ended() -> None:
    assert {outcome for outcome in Outcome if outcome.is_answer} == {Outcome.ANSWERED, Outcome.NO_ANSWER}
    assert {outcome for outcome in Outcome if outcome.is_blocked} == {Outcome.BLOCKED_INPUT, Outcome.BLOCKED_OUTPUT}
    assert not Outcome.EMPTY.is_error


def test_repetitions_are_told_apart(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(lambda g, p: right(g, p) if g.asked[p] < 3 else "something else")
    result = run(dataset(5, "repeated"), gateway, phoenix=stack.phoenix_url, repeat=3, concurrency=1)
    assert [request["messages"][0]["content"] for request in gateway.requests[:5]] == [*gateway.asked]
    (experiment,) = result.experiments
    assert (result.planned, len(experiment.answers), result.unrecorded) == (15, 15, 0)
    assert experiment.mean("exact_match") == pytest.approx(2 / 3)
    runs = _json(f"{stack.phoenix_url}/v1/experiments/{experiment.phoenix_id}/json")
    assert sorted((run["repetition_number"], run["output"]["answer"] == "something else") for run in runs) == sorted(
        (repetition, repetition == 3) for repetition in (1, 2, 3) for _ in range(5)
    )


def test_who_answered_is_kept_and_shared_out(serve: Serve) -> None:
    def answer(gateway: FakeGateway, prompt: str) -> Any:
        name = "bedrock/cheap" if number(prompt) % 4 else "bedrock/dear"
        headers = {
            "x-litellm-model-name": name,
            "x-litellm-attempted-fallbacks": "1",
            "x-litellm-attempted-retries": "2",
        }
        return completion(right(gateway, prompt), **headers)

    (experiment,) = run(dataset(20), serve(answer)).experiments
    assert experiment.deployments == {"bedrock/cheap": 15, "bedrock/dear": 5}
    assert (experiment.total("fallbacks"), experiment.total("gateway_retries")) == (20, 40)
    assert experiment.to_json()["deployments"] == {"bedrock/cheap": 15, "bedrock/dear": 5}


def test_the_cost_limit_is_never_exceeded(serve: Serve) -> None:
    result = run(dataset(100), serve(right), max_cost=0.0105, concurrency=4)
    assert "the cost limit of 0.0105 USD is reached" in str(result.stopped)
    assert 0.0075 < float(result.experiments[0].total("cost_usd") or 0) <= 0.0105 + 1e-12
    silent = serve(lambda g, p: completion(right(g, p), **{"x-litellm-response-cost": "unknown"}))
    assert "an answer came without its cost" in str(run(dataset(100), silent, max_cost=1.0).stopped)


def test_the_time_is_kept(serve: Serve) -> None:
    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        await asyncio.sleep(0.1)
        return completion(right(gateway, prompt))

    result = run(dataset(200), serve(slow), max_time=0.5, concurrency=4)
    assert "the time limit of 0.5 s is reached" in str(result.stopped)
    assert 8 <= len(result.experiments[0].answers) <= 28
    assert result.incomplete


def test_what_phoenix_has_lost_is_noticed_and_recorded_again(
    serve: Serve, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    log = recorder.log_evaluation

    async def losing(phoenix: phoenix_server.Phoenix, run_id: str, evaluation: Evaluation) -> None:
        if evaluation.name == "f1" and len(lost) < 3:
            lost.append(run_id)
            return
        await log(phoenix, run_id, evaluation)

    monkeypatch.setattr(recorder, "log_evaluation", losing)
    result = run(dataset(12, "lost"), serve(right), phoenix=stack.phoenix_url)
    assert len(lost) == 3
    assert result.unrecorded == 0
    runs = _json(f"{stack.phoenix_url}/v1/experiments/{result.experiments[0].phoenix_id}/json")
    assert [len(run["annotations"]) for run in runs] == [4] * 12


def test_our_spans_can_be_kept_free_of_content(serve: Serve, stack: RunningStack) -> None:
    for content, name in ((True, "spoken"), (False, "unspoken")):
        data = dataset(3, name)
        result = run(data, serve(right), phoenix=stack.phoenix_url, trace_content=content)
        fields = "spans(first: 50) { edges { node { attributes } } }"
        query = f"query($t: String!) {{ getTraceByOtelId(traceId: $t) {{ {fields} }} }}"
        for answer in result.experiments[0].answers:
            body = {"query": query, "variables": {"t": answer.reply.trace_id}}
            attributes = str(_soon(f"{stack.phoenix_url}/graphql", body)["spans"]["edges"])
            assert answer.example.id in attributes
            assert (answer.reply.text in attributes) is content
            assert (answer.example.question in attributes) is content


def _soon(url: str, body: Any) -> Any:
    """A trace: Phoenix takes spans at once and shows them a moment later."""
    for _ in range(100):
        found = httpx.post(url, json=body, timeout=30).json()["data"]["getTraceByOtelId"]
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("the trace does not come")


def _json(url: str) -> Any:
    return httpx.get(url, timeout=30).raise_for_status().json()
