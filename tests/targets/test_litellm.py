"""A model asked by the LiteLLM SDK: outcomes, cost, and what is refused before anything is asked."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from fake_gateway import KEY, Answer, Serve, completion, error
from fake_stream import DONE, USAGE, WHOLE, chunk, event, streamed
from numbers_dataset import dataset, right

import qa_eval
from qa_eval.data import Example
from qa_eval.errors import InputError
from qa_eval.spec.model import Message, PromptSpec
from qa_eval.targets.base import Attempt
from qa_eval.targets.litellm import LiteLLMTarget
from qa_eval.targets.outcome import Outcome

# LiteLLM 1.106 reads a streamed chunk in a way that Pydantic deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_(computed_)?fields' attribute")

PROMPT = PromptSpec(messages=(Message(role="user", content="{question}"),))
EXAMPLE = Example("1", "Who?", "", (), "g", {})


@pytest.fixture(autouse=True)
def provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def without_price(text: str) -> web.Response:
    """A completion as a provider gives it: a LiteLLM gateway's own figure would be taken for the cost."""
    response = completion(text)
    del response.headers["x-litellm-response-cost"]
    return response


def ask(
    url: str, model: str = "openai/qa", timeout_s: float = 20.0, *, stream: bool = False, **parameters: Any
) -> Attempt:
    target = LiteLLMTarget(model, PROMPT, {"api_base": f"{url}/v1", **parameters}, timeout_s, stream)
    return asyncio.run(target.generate(EXAMPLE))


def test_an_answer_comes_with_usage_and_the_price_maps_cost(serve: Serve) -> None:
    gateway = serve(lambda *_: without_price(" Paris\n"))
    reply = ask(gateway.url, "openai/gpt-4o", temperature=0.0, max_tokens=8).reply
    assert (reply.outcome, reply.text) == (Outcome.ANSWERED, "Paris")
    assert (reply.prompt_tokens, reply.completion_tokens) == (40, 2)
    assert reply.cost_usd == pytest.approx(40 * 2.5e-6 + 2 * 10e-6)
    (request,) = gateway.requests
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("gpt-4o", 0.0, 8)
    assert ask(gateway.url).reply.cost_usd is None, "no price is known of it"


@pytest.mark.parametrize(
    ("answer", "outcome", "retry"),
    [
        (lambda *_: "", Outcome.EMPTY, False),
        (lambda *_: error(429, "slow down", **{"retry-after": "3"}), Outcome.RATE_LIMITED, True),
        (lambda *_: error(400, "what is this"), Outcome.REFUSED, False),
        (lambda *_: error(401, "who are you"), Outcome.REFUSED, False),
        (lambda *_: error(500, "the provider is down"), Outcome.GATEWAY_ERROR, True),
        (lambda *_: error(503, "the provider is down"), Outcome.GATEWAY_ERROR, True),
        (lambda *_: web.json_response({"choices": []}), Outcome.INVALID_RESPONSE, False),
    ],
)
def test_every_failure_is_an_outcome(serve: Serve, answer: Answer, outcome: Outcome, retry: bool) -> None:
    gateway = serve(answer)
    attempt = ask(gateway.url)
    assert (attempt.reply.outcome, attempt.retry, attempt.unreachable) == (outcome, retry, False), attempt
    assert gateway.asked.total() == 1, "the SDK does not try again itself"
    assert "\n" not in attempt.reply.message
    if outcome is Outcome.RATE_LIMITED:
        assert attempt.retry_after_s == 3


TOKENS = event({"choices": [], "usage": {name: USAGE[name] for name in USAGE if name != "cost"}})


def test_a_streamed_answer_has_its_first_token_and_the_same_cost(serve: Serve) -> None:
    gateway = serve(streamed(*WHOLE[:2], 0.2, *WHOLE[2:4], TOKENS, DONE))
    ask(gateway.url, "openai/gpt-4o", stream=True)  # the SDK loads parts of itself with its first call
    reply = ask(gateway.url, "openai/gpt-4o", stream=True).reply
    assert (reply.outcome, reply.text) == (Outcome.ANSWERED, "Paris"), reply.message
    assert (reply.prompt_tokens, reply.completion_tokens) == (40, 2)
    assert reply.cost_usd == pytest.approx(40 * 2.5e-6 + 2 * 10e-6)
    assert reply.first_token_s is not None
    assert 0 < reply.first_token_s <= reply.latency_s - 0.2
    assert gateway.requests[-1]["stream_options"] == {"include_usage": True}
    assert ask(gateway.url, stream=True).reply.cost_usd is None, "no price is known of it"


@pytest.mark.parametrize(
    ("answer", "outcome", "retry"),
    [
        (streamed(*WHOLE[:3]), Outcome.GATEWAY_ERROR, True),
        (streamed(*WHOLE[:3], cut=True), Outcome.GATEWAY_ERROR, True),
        (streamed(chunk("x"), 5.0), Outcome.TIMEOUT, False),
        (streamed(*[chunk("x"), 0.2] * 10), Outcome.TIMEOUT, False),
        (streamed(chunk("x"), event({"error": {"message": "boom", "code": "500"}})), Outcome.GATEWAY_ERROR, True),
        (streamed(chunk("", finish="stop"), DONE), Outcome.EMPTY, False),
        (streamed(chunk("no", finish="content_filter"), DONE), Outcome.BLOCKED_OUTPUT, False),
        (lambda *_: error(429, "slow down"), Outcome.RATE_LIMITED, True),
    ],
)
def test_no_half_answer_counts(serve: Serve, answer: Answer, outcome: Outcome, retry: bool) -> None:
    attempt = ask(serve(answer).url, timeout_s=1.0, stream=True)
    assert (attempt.reply.outcome, attempt.reply.text, attempt.retry) == (outcome, "", retry), attempt


def test_no_answer_in_time(serve: Serve) -> None:
    async def late() -> web.Response:
        await asyncio.sleep(5)
        return completion("late")

    assert ask(serve(lambda *_: late()).url, timeout_s=0.3).reply.outcome is Outcome.TIMEOUT


def test_a_provider_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        attempt = ask(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert (attempt.reply.outcome, attempt.unreachable) == (Outcome.GATEWAY_ERROR, True)


def test_a_missing_package_ends_the_run_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"needs the package 'google.auth', which is not installed: install it\.$"):
        ask("http://127.0.0.1:9", "vertex_ai/gemini-2.0-flash")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("claude-haiku", "names no provider that LiteLLM knows: give one like openai/MODEL"),
        ("gemini/gemini-2.0-flash", "needs a key: set GOOGLE_API_KEY or GEMINI_API_KEY in the environment."),
        ("bedrock/us.amazon.nova-micro-v1:0", "needs AWS credentials: set AWS_PROFILE, or sign in."),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(
    model: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(InputError) as caught:
        qa_eval.run_experiment(dataset(2), models=model, via="litellm", record=False)
    assert sentence in str(caught.value)


def test_a_key_among_the_parameters_is_refused() -> None:
    with pytest.raises(InputError, match="cannot set `api_key`: keys come from the environment"):
        qa_eval.run_experiment(dataset(2), models="openai/x", via="litellm", parameters={"api_key": "sk-1"})


def test_a_whole_run_without_a_gateway_keeps_a_cost_limit(serve: Serve) -> None:
    gateway = serve(lambda gateway, prompt: without_price(right(gateway, prompt)))
    keywords: dict[str, Any] = {"via": "litellm", "record": False, "parameters": {"api_base": f"{gateway.url}/v1"}}
    prompt = "{context}\n\nQuestion: {question}\n\nAnswer:"
    result = qa_eval.run_experiment(dataset(20), models="openai/gpt-4o", prompts=prompt, max_cost=1.0, **keywords)
    (experiment,) = result.experiments
    assert (experiment.answered, experiment.mean("exact_match")) == (20, 1.0)
    assert experiment.total("cost_usd") == pytest.approx(20 * (40 * 2.5e-6 + 2 * 10e-6))
    with pytest.raises(InputError, match="does not say what its answers cost"):
        qa_eval.run_experiment(dataset(2), models="openai/unpriced", prompts=prompt, max_cost=1.0, **keywords)
