"""One call through the gateway: what each answer and each failure becomes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fake_gateway import KEY, Answer, FakeGateway, Serve, blocked, completion, error
from tls import make_certificate

from qa_eval.data import Example
from qa_eval.errors import GatewayError
from qa_eval.spec.model import Message, PromptSpec
from qa_eval.stack import servers
from qa_eval.targets.base import Attempt
from qa_eval.targets.gateway import GatewayClient, GatewayTarget
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.tracing.context import TraceContext

ASKED = [{"role": "user", "content": "Who?"}]
PARAMETERS = {"temperature": 0.0, "max_tokens": 8}


def attempt(gateway: FakeGateway, timeout_s: float = 20.0) -> Attempt:
    return asyncio.run(ask_url(gateway.url, timeout_s))


def ask(gateway: FakeGateway, timeout_s: float = 20.0) -> Reply:
    return attempt(gateway, timeout_s).reply


async def ask_url(url: str, timeout_s: float = 20.0) -> Attempt:
    async with GatewayClient(url, KEY, timeout_s=timeout_s) as client:
        return await client.complete("qa", ASKED, PARAMETERS, TraceContext("1", "2"))


def check(url: str, key: str | None, *models: str) -> None:
    async def checked() -> None:
        async with GatewayClient(url, key) as client:
            await client.check(models)

    asyncio.run(checked())


def test_an_answer_comes_with_usage_cost_and_deployment(serve: Serve) -> None:
    gateway = serve(lambda *_: " Paris\n")
    reply = ask(gateway)
    assert (reply.outcome, reply.text) == (Outcome.ANSWERED, "Paris")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost_usd) == (40, 2, 0.0005)
    assert reply.deployment == "deployment-1"
    assert 0 < reply.latency_s < 20


def test_what_is_sent(serve: Serve) -> None:
    gateway = serve(lambda *_: "x")
    ask(gateway)
    (request,), (headers,) = gateway.requests, gateway.headers
    assert (request["model"], request["temperature"], request["max_tokens"]) == ("qa", 0, 8)
    assert request["disable_fallbacks"] is True
    assert request["cache"] == {"no-cache": True, "no-store": True}
    assert headers["traceparent"] == "00-1-2-01"
    assert headers["Authorization"] == f"Bearer {KEY}"


def test_a_gateway_that_is_not_litellm_is_asked_in_plain_openai(serve: Serve) -> None:
    def strict(gateway: FakeGateway, prompt: str) -> Any:
        if "disable_fallbacks" in gateway.requests[-1]:
            return error(400, "Unrecognized request argument supplied: disable_fallbacks")
        return "Paris"

    async def several(url: str) -> list[Attempt]:
        async with GatewayClient(url, KEY) as client:
            calls = [client.complete("qa", ASKED, PARAMETERS) for _ in range(8)]
            refused = await asyncio.gather(*calls)
            assert all(each.retry for each in refused)
            return [await client.complete("qa", ASKED, PARAMETERS)]

    gateway = serve(strict)
    (last,) = asyncio.run(several(gateway.url))
    assert (last.reply.outcome, last.reply.text) == (Outcome.ANSWERED, "Paris")
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
        (lambda *_: web.json_response([1, 2]), Outcome.INVALID_RESPONSE, ""),
        (lambda *_: web.json_response({"choices": [{}]}), Outcome.INVALID_RESPONSE, ""),
        (lambda *_: web.json_response({"choices": {"a": 1}}), Outcome.INVALID_RESPONSE, ""),
        (lambda *_: error(504, "too late"), Outcome.TIMEOUT, "too late"),
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


def test_429_says_when_to_ask_again(serve: Serve) -> None:
    found = attempt(serve(lambda *_: error(429, "slow down", **{"retry-after": "1.5"})))
    assert (found.reply.outcome, found.retry, found.retry_after_s) == (Outcome.RATE_LIMITED, True, 1.5)
    for strange in ("soon", "-1", "inf", "nan"):
        found = attempt(serve(lambda *_, strange=strange: error(429, "slow down", **{"retry-after": strange})))
        assert (found.retry, found.retry_after_s) == (True, None)


def test_a_load_balancer_without_its_gateway_is_asked_again(serve: Serve) -> None:
    page = "<html><title>503 Service Temporarily Unavailable</title></html>"
    found = attempt(serve(lambda *_: web.Response(status=503, text=page, content_type="text/html")))
    assert (found.reply.outcome, found.retry) == (Outcome.GATEWAY_ERROR, True)
    assert not attempt(serve(lambda *_: error(503, "busy"))).retry


def test_a_cut_connection_is_asked_again(serve: Serve) -> None:
    found = attempt(serve(lambda *_: _cut()))
    assert (found.reply.outcome, found.retry, found.unreachable) == (Outcome.GATEWAY_ERROR, True, False)


async def _cut() -> web.Response:
    class Cut(web.Response):
        async def prepare(self, request: web.BaseRequest) -> None:  # type: ignore[override]
            assert request.transport is not None
            request.transport.close()

    return Cut()


def test_a_gateway_that_is_gone_is_unreachable() -> None:
    found = asyncio.run(ask_url(f"http://127.0.0.1:{_free_port()}"))
    assert (found.reply.outcome, found.retry, found.unreachable) == (Outcome.GATEWAY_ERROR, True, True)


def test_check_names_what_is_wrong(serve: Serve) -> None:
    gateway = serve(lambda *_: "x")
    check(f"{gateway.url}/v1/", KEY, "qa")
    with pytest.raises(GatewayError, match="has no model 'gpt': choose `models` from other, qa"):
        check(gateway.url, KEY, "qa", "gpt")
    with pytest.raises(GatewayError, match="refuses the key: set QA_EVAL_GATEWAY_KEY"):
        check(gateway.url, "wrong", "qa")
    with pytest.raises(GatewayError, match="No gateway answers"):
        check(f"http://127.0.0.1:{_free_port()}", None, "qa")
    with pytest.raises(GatewayError, match="no list of models"):
        check(f"{gateway.url}/elsewhere", KEY, "qa")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_target_sends_messages_with_their_fields_and_every_parameter(serve: Serve) -> None:
    prompt = PromptSpec(
        messages=(
            Message(role="system", content="You answer on {product}."),
            Message(role="user", content="What is it? {{product}}"),
            Message(role="assistant", content="A thing."),
            Message(role="user", content="{question}"),
        )
    )
    example = Example("1", " Who made {product}? ", metadata={"product": "Acme", "tier": 2})
    gateway = serve(lambda *_: "Ada")

    async def generate() -> Attempt:
        async with GatewayClient(gateway.url, KEY) as client:
            return await GatewayTarget(client, "qa", prompt, {"top_p": 0.5, "seed": 7}).generate(example)

    assert asyncio.run(generate()).reply.text == "Ada"
    (request,) = gateway.requests
    assert [message["content"] for message in request["messages"]] == [
        "You answer on Acme.",
        "What is it? {product}",
        "A thing.",
        "Who made {product}?",
    ]
    assert (request["top_p"], request["seed"], "temperature" in request) == (0.5, 7, False)


ASK_OVER_TLS = """
import asyncio, ssl, sys
from aiohttp import web
from fake_gateway import KEY, completion
from qa_eval.targets.gateway import GatewayClient

async def answer(request):
    return completion("Paris")

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    async with GatewayClient(f"https://localhost:{runner.addresses[0][1]}", KEY) as client:
        attempt = await client.complete("qa", [{"role": "user", "content": "?"}], {})
    print(attempt.unreachable, attempt.reply.text)
    await runner.cleanup()

asyncio.run(main())
"""


@pytest.mark.usefixtures("stack")  # its environments can make a certificate
def test_tls_is_spoken_and_the_certificate_is_verified(tmp_path: Path) -> None:
    """In a process of its own: aiohttp reads the trusted certificates when it is imported."""
    certificate = make_certificate(servers.environment("litellm").python, tmp_path)

    def printed(**environment: str) -> str:
        paths = {"PYTHONPATH": str(Path(__file__).parents[1] / "support")}
        command = (sys.executable, "-c", ASK_OVER_TLS, str(certificate))
        return subprocess.run(
            command, env={**os.environ, **paths, **environment}, capture_output=True, text=True, check=True
        ).stdout

    assert printed() == "True \n"
    assert printed(SSL_CERT_FILE=str(certificate)) == "False Paris\n"


def test_a_proxy_of_the_environment_is_asked(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append(str(request.url))
        return completion("Paris")

    async def ask_through_proxy(url: str) -> Attempt:
        runner = web.ServerRunner(web.Server(proxy))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            return await ask_url(url)
        finally:
            await runner.cleanup()

    assert asyncio.run(ask_through_proxy("http://gateway.test/base")).reply.text == "Paris"
    assert asked == ["http://gateway.test/base/v1/chat/completions"]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert asyncio.run(ask_through_proxy(serve(lambda *_: "Rome").url)).reply.text == "Rome"


def test_prices_are_those_of_groups_with_one_price(serve: Serve) -> None:
    def entry(group: str, read: float | None, write: float | None) -> dict[str, Any]:
        return {"model_name": group, "model_info": {"input_cost_per_token": read, "output_cost_per_token": write}}

    gateway = serve(lambda *_: "x")
    gateway.deployments = [entry("qa", 1e-6, 2e-6), entry("qa", 3e-6, 4e-6), entry("one", 1e-6, None)]
    gateway.deployments += [entry("two", 1e-6, 2e-6), entry("two", 1e-6, 2e-6), entry("none", None, None)]

    async def prices() -> dict[str, tuple[float, float]]:
        async with GatewayClient(gateway.url, KEY) as client:
            return await client.prices()

    assert asyncio.run(prices()) == {"one": (1e-6, 0.0), "two": (1e-6, 2e-6)}
