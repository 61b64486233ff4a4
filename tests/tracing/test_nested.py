"""Spans of what runs in this process, in a real Phoenix: under their question, in its experiment's project, priced."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import Any

import litellm
import openai
import pytest
from aiohttp import web
from fake_gateway import KEY, FakeGateway, Serve, completion
from killing import kill_server
from numbers_dataset import dataset, right, servers
from phoenix_traces import experiment_in, traces

import qa_eval
from qa_eval import stack as local_stack
from qa_eval.data import Example
from qa_eval.experiment.metadata import Servers
from qa_eval.spec.model import ExperimentSpec
from qa_eval.stack import RunningStack
from qa_eval.tracing.context import TraceContext, within

# LiteLLM keeps its connections in a cache of its own, for the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def asks_twice(url: str) -> Any:
    async def pipeline(example: Example) -> str:
        for model in ("openai/gpt-4o-mini", "openai/gpt-4o"):
            answer = await litellm.acompletion(
                model=model,
                api_base=f"{url}/v1",
                messages=[{"role": "user", "content": f"{example.context} {example.question}"}],
            )
        return str(answer.choices[0].message.content)

    return pipeline


def check_trace(spans: list[dict[str, Any]]) -> None:
    """One question with two model calls below it, each with tokens and cost."""
    (root,) = [span for span in spans if span["spanKind"] == "chain"]
    calls = [span for span in spans if span["spanKind"] == "llm"]
    assert [span["parentId"] for span in calls] == [root["spanId"]] * 2
    assert [span["tokenCountTotal"] for span in calls] == [42, 42]
    assert {json.loads(span["attributes"])["llm"]["model_name"] for span in calls} == {"gpt-4o-mini", "gpt-4o"}
    assert all(span["costSummary"]["total"]["cost"] > 0 for span in calls)


def test_a_task_with_two_calls_is_one_trace(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(right)
    task = {"pipeline": asks_twice(gateway.url)}
    result = qa_eval.run_experiment(dataset(6, "nested"), servers=servers(gateway, stack.phoenix_url), task=task)
    assert result.unrecorded == 0
    found = traces(stack, result.experiments[0].phoenix_id, 18)
    assert len(found) == 6
    for spans in found:
        check_trace(spans)
    texts = json.dumps([span["attributes"] for spans in found for span in spans if span["spanKind"] == "llm"])
    assert "What is number" not in texts, "a direct call goes past what masks: its content is hidden"


def test_a_plain_function_and_a_metric_are_traced_as_well(
    serve: Serve, stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENINFERENCE_HIDE_INPUTS", "false")
    gateway = serve(lambda *_: "item-1")

    def call(model: str, text: str) -> str:
        messages = [{"role": "user", "content": text}]
        answer = litellm.completion(model=model, api_base=f"{gateway.url}/v1", messages=messages)
        return str(answer.choices[0].message.content)

    def task(example: Example) -> str:
        return call("openai/gpt-4o", example.question)

    def judged(example: Example, answer: str) -> float:
        return float(len(call("openai/gpt-4o-mini", f"judge {answer}")))

    result = qa_eval.run_experiment(
        dataset(3, "judged"), servers=servers(gateway, stack.phoenix_url), task=task, metrics=[judged]
    )
    assert result.experiments[0].mean("judged") == 6.0
    found = traces(stack, result.experiments[0].phoenix_id, 9)
    for spans in found:
        check_trace(spans)
    assert "What is number 1?" in json.dumps(found)


def test_a_task_by_the_openai_sdk_is_traced_where_its_instrumentor_is_installed(
    serve: Serve, stack: RunningStack
) -> None:
    gateway = serve(lambda *_: "item-1")

    def task(example: Example) -> str:
        messages: Any = [{"role": "user", "content": example.question}]
        with openai.OpenAI(base_url=f"{gateway.url}/v1") as client:
            return str(client.chat.completions.create(model="qa", messages=messages).choices[0].message.content)

    result = qa_eval.run_experiment(dataset(2, "openai-sdk"), servers=servers(gateway, stack.phoenix_url), task=task)
    for spans in traces(stack, result.experiments[0].phoenix_id, 4):
        (root,) = [span for span in spans if span["spanKind"] == "chain"]
        (call,) = [span for span in spans if span["spanKind"] == "llm"]
        assert (call["parentId"], call["tokenCountTotal"]) == (root["spanId"], 42)


def test_no_span_is_lost_or_doubled_when_phoenix_is_killed_in_mid_run(
    serve: Serve, in_stack_folder: RunningStack
) -> None:
    restarts: list[threading.Thread] = []

    def restart() -> None:
        kill_server("phoenix")
        local_stack.up()

    async def slow(gateway: FakeGateway, prompt: str) -> web.Response:
        if gateway.asked.total() == 20:
            restarts.append(threading.Thread(target=restart))
            restarts[0].start()
        # However long Phoenix takes to start on this machine, the run goes on meanwhile.
        while gateway.asked.total() > 60 and restarts[0].is_alive():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.05)
        return completion(right(gateway, prompt))

    gateway = serve(slow)
    places = servers(gateway, in_stack_folder.phoenix_url)
    result = qa_eval.run_experiment(
        dataset(40, "restarted-spans"), servers=places, task={"p": asks_twice(gateway.url)}, concurrency=4
    )
    restarts[0].join()
    assert (result.unrecorded, result.stopped) == (0, None)
    found = traces(in_stack_folder, result.experiments[0].phoenix_id, 120)
    assert len(found) == 40
    for spans in found:
        check_trace(spans)


def test_nothing_is_traced_where_that_is_turned_off(serve: Serve, stack: RunningStack) -> None:
    gateway = serve(right)
    task = {"pipeline": asks_twice(gateway.url)}
    result = qa_eval.run_experiment(
        dataset(2, "untraced"), servers=servers(gateway, stack.phoenix_url), task=task, trace="none"
    )
    found = traces(stack, result.experiments[0].phoenix_id, 2)
    assert [len(spans) for spans in found] == [1, 1]


def test_the_instrumentation_is_off_again_and_one_that_was_on_stays(serve: Serve, stack: RunningStack) -> None:
    from openinference.instrumentation.litellm import LiteLLMInstrumentor

    gateway = serve(right)
    keywords: dict[str, Any] = {"servers": servers(gateway, stack.phoenix_url), "task": {"p": asks_twice(gateway.url)}}
    qa_eval.run_experiment(dataset(1, "off-again"), **keywords)
    instrumentor = LiteLLMInstrumentor()
    assert not instrumentor.is_instrumented_by_opentelemetry
    instrumentor.instrument()
    try:
        qa_eval.run_experiment(dataset(1, "stays-on"), **keywords)
        assert instrumentor.is_instrumented_by_opentelemetry
    finally:
        instrumentor.uninstrument()


@pytest.fixture
def bedrock(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a direct call to the local Bedrock."""
    monkeypatch.setenv("AWS_BEDROCK_RUNTIME_ENDPOINT", stack.bedrock_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.mark.usefixtures("bedrock")
def test_a_direct_call_scores_and_costs_what_the_gateways_group_does(stack: RunningStack) -> None:
    spec = {
        "name": "direct-or-not",
        "dataset": {"path": "sample", "examples": 8, "name": "direct-or-not"},
        "systems": [
            {"name": "gateway", "model": "nova-micro"},
            {"name": "direct", "model": "bedrock/us.amazon.nova-micro-v1:0", "via": "litellm"},
        ],
        "concurrency": 1,
    }
    places = Servers(stack.gateway_url, stack.gateway_key, stack.phoenix_url, stack.phoenix_key)
    result = qa_eval.run_experiment(ExperimentSpec.model_validate(spec), servers=places)
    gateway, direct = result.experiments
    texts = [{answer.example.id: answer.reply.text for answer in each.answers} for each in (gateway, direct)]
    assert texts[0] == texts[1]
    assert gateway.mean("f1") == direct.mean("f1")
    assert (gateway.total("prompt_tokens"), gateway.total("completion_tokens")) == (
        direct.total("prompt_tokens"),
        direct.total("completion_tokens"),
    )
    # The gateway's figure holds the guardrail's price; Phoenix prices the tokens alone, as the direct call does.
    deadline, costs = time.monotonic() + 30, []
    while time.monotonic() < deadline and len(set(costs)) != 1:
        nodes = [experiment_in(stack, experiment.phoenix_id) for experiment in result.experiments]
        costs = [round(node["costSummary"]["total"]["cost"] or 0, 9) for node in nodes]
        time.sleep(1)
    assert costs == [pytest.approx(direct.total("cost_usd"), rel=0.01)] * 2


def test_a_phoenix_that_takes_no_spans_holds_no_run_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from qa_eval.tracing import export, provider

    monkeypatch.setattr(provider, "_CLOSING_S", 0.5)
    monkeypatch.setattr(export, "_POST_S", 1)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        nested = provider.NestedSpans(f"http://127.0.0.1:{deaf.getsockname()[1]}", {}, lambda: 0)
        tracer = nested.provider.get_tracer("test")
        with within(TraceContext("1" * 32, "2" * 16, "system")):
            tracer.start_span("call").end()
        nested.send_to({"system": "project"})
        closing = threading.Thread(target=nested.close, daemon=True)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
