"""One call through the gateway: what each answer and each failure becomes."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import web
from fake_gateway import KEY, Answer, FakeGateway, Serve, blocked, completion, error

from qa_eval.errors import GatewayError
from qa_eval.gateway.client import TRIES, GatewayClient
from qa_eval.gateway.reply import Outcome, Reply


def ask(gateway: FakeGateway, timeout_s: float = 20.0) -> Reply:
    return asyncio.run(ask_url(gateway.url, timeout_s))


async def ask_url(url: str, timeout_s: float = 20.0) -> Reply:
    async with GatewayClient(url, KEY, timeout_s=timeout_s) as client:
        return await client.ask("qa", "Who?", temperature=0.0, max_tokens=8, traceparent="00-1-2-01", trace_id="1")


def test_an_answer_comes_with_usage_cost_and_deployment(serve: Serve) -> None:
    gateway = serve(lambda *_: " Paris\n")
    reply = ask(gateway)
    assert (reply.outcome, reply.text) == (Outcome.ANSWERED, "Paris")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost_usd) == (40, 2, 0.0005)
    assert (reply.deployment, reply.trace_id) == ("deployment-1", "1")
    assert 0 < reply.latency_s < 20


def test_what_is_sent(serve: Serve) -> None:
    gateway = serve(lambda *_: "x")
    ask(gateway)
    (request,), (headers,) = gateway.requests, gateway.headers
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("qa", 0, 8)
    assert request["disable_fallbacks"] is True
    assert headers["traceparent"] == "00-1-2-01"
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_a_gateway_that_is_not_litellm_is_asked_in_plain_openai(serve: Serve) -> None:
    def strict(gateway: FakeGateway, prompt: str) -> Any:
        if "disable_fallbacks" in gateway.requests[-1]:
            return error(400, "Unrecognized request argument supplied: disable_fallbacks")
        return "Paris"

    async def several(url: str) -> list[Reply]:
        async with GatewayClient(url, KEY) as client:
            calls = [client.ask("qa", f"Who {i}?", temperature=0.0, max_tokens=8) for i in range(8)]
            return await asyncio.gather(*calls)

    gateway = serve(strict)
    assert {(reply.outcome, reply.text) for reply in asyncio.run(several(gateway.url))} == {(Outcome.ANSWERED, "Paris")}
    assert gateway.requests[-1].keys() == {"model", "messages", "temperature", "max_tokens"}


async def _hang() -> web.Response:
    await asyncio.sleep(5)
    return completion("late")


@pytest.mark.parametrize(
    ("answer", "outcome", "message"),
    [
        (lambda *_: blocked("pre_call"), Outcome.BLOCKED_INPUT, "Your request contains content"),
        (lambda *_: blocked("post_call"), Outcome.BLOCKED_OUTPUT, "Your request contains content"),
        (lambda *_: error(400, "no such parameter"), Outcome.REFUSED, "no such parameter"),
        (lambda *_: error(500, "boom"), Outcome.GATEWAY_ERROR, "boom"),
        (lambda *_: error(503, "busy"), Outcome.GATEWAY_ERROR, "busy"),
        (lambda *_: completion(""), Outcome.EMPTY, "empty"),
        (lambda *_: completion(None), Outcome.EMPTY, "empty"),
        (lambda *_: web.json_response({"choices": [], "usage": {}}), Outcome.INVALID_RESPONSE, ""),
        (lambda *_: web.Response(text="<html>hello", content_type="application/json"), Outcome.INVALID_RESPONSE, ""),
    ],
)
def test_every_failure_has_a_name_and_is_asked_once(
    serve: Serve, answer: Answer, outcome: Outcome, message: str
) -> None:
    gateway = serve(answer)
    reply = ask(gateway)
    assert reply.outcome is outcome
    assert message in reply.message
    assert reply.text == ""
    assert gateway.asked.total() == 1


def test_a_gateway_that_hangs_is_a_timeout(serve: Serve) -> None:
    gateway = serve(lambda *_: _hang())
    reply = ask(gateway, timeout_s=0.3)
    assert reply.outcome is Outcome.TIMEOUT
    assert gateway.asked.total() == 1


def test_429_is_tried_again_when_the_gateway_says(serve: Serve) -> None:
    gateway = serve(lambda g, _: error(429, "slow down", **{"retry-after": "0.1"}) if g.asked.total() < 3 else "Paris")
    assert ask(gateway).text == "Paris"
    assert gateway.asked.total() == 3


def test_429_for_ever_is_rate_limited_after_bounded_tries(serve: Serve) -> None:
    gateway = serve(lambda *_: error(429, "slow down", **{"retry-after": "0.05"}))
    assert ask(gateway).outcome is Outcome.RATE_LIMITED
    assert gateway.asked.total() == TRIES


def test_a_gateway_that_is_gone_is_a_gateway_error() -> None:
    reply = asyncio.run(ask_url(f"http://127.0.0.1:{_free_port()}"))
    assert reply.outcome is Outcome.GATEWAY_ERROR


def test_check_names_what_is_wrong(serve: Serve) -> None:
    gateway = serve(lambda *_: "x")
    asyncio.run(GatewayClient(f"{gateway.url}/v1/", KEY).check(["qa"]))
    with pytest.raises(GatewayError, match="knows no model 'gpt': choose --model from other, qa"):
        asyncio.run(GatewayClient(gateway.url, KEY).check(["qa", "gpt"]))
    with pytest.raises(GatewayError, match="refuses the key: set QA_EVAL_GATEWAY_KEY"):
        asyncio.run(GatewayClient(gateway.url, "wrong").check(["qa"]))
    with pytest.raises(GatewayError, match="No gateway answers"):
        asyncio.run(GatewayClient(f"http://127.0.0.1:{_free_port()}", None).check(["qa"]))
    with pytest.raises(GatewayError, match="no list of models"):
        asyncio.run(GatewayClient(f"{gateway.url}/elsewhere", KEY).check(["qa"]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
