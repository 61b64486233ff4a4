"""What a caller reads when the model is slow, busy or gone, and that a caller who has gone costs nothing."""

import asyncio
import contextlib
import time

import aiohttp
import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from qa_eval.stack.bedrock.model import MAX_WAITING, SLOTS
from qa_eval.stack.bedrock.server import application

NOVA = "us.amazon.nova-lite-v1:0"
QUESTION = "Context: Mainz lies on the Rhine.\n\nQuestion: Where is Mainz?\n\nAnswer:"
BODY = {"messages": [{"role": "user", "content": [{"text": QUESTION}]}]}


@contextlib.asynccontextmanager
async def in_front_of(answer, timeout_s=20.0):
    """A session on a local Bedrock whose model server gives `answer`."""
    model = web.Application()
    model.router.add_post("/completion", answer)
    async with TestServer(model) as behind:
        app = application(str(behind.make_url("")).rstrip("/"), timeout_s=timeout_s)
        async with TestServer(app) as server, aiohttp.ClientSession(str(server.make_url("/"))) as session:
            yield session


async def post(session, operation="converse"):
    async with session.post(f"/model/{NOVA}/{operation}", json=BODY) as reply:
        return reply.status, reply.headers.get("x-amzn-ErrorType"), await reply.read()


async def never(request):
    await asyncio.sleep(60)


def breaking_after(first):
    async def answer(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(first)
        request.transport.close()
        return response

    return answer


def refusing(status):
    async def answer(request):
        return web.json_response({"error": {"message": "no"}}, status=status)

    return answer


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
def test_a_slow_model_is_a_model_timeout(operation):
    async def scenario():
        async with in_front_of(never, timeout_s=0.2) as session:
            return await post(session, operation)

    assert asyncio.run(scenario())[:2] == (408, "ModelTimeoutException")


def test_more_calls_than_may_wait_are_throttled_and_the_others_are_not():
    async def scenario():
        async with in_front_of(never, timeout_s=2) as session:
            return await asyncio.gather(*(post(session) for _ in range(SLOTS + MAX_WAITING + 5)))

    statuses = [status for status, _, _ in asyncio.run(scenario())]
    assert statuses.count(429) == 5
    assert statuses.count(408) == SLOTS + MAX_WAITING


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (breaking_after(b""), (503, "ServiceUnavailableException")),
        (refusing(503), (503, "ServiceUnavailableException")),
        (refusing(500), (500, "InternalServerException")),
    ],
)
def test_a_model_that_fails_before_the_first_word(operation, answer, expected):
    async def scenario():
        async with in_front_of(answer) as session:
            return await post(session, operation)

    assert asyncio.run(scenario())[:2] == expected


def test_a_model_that_goes_in_the_middle_of_a_stream_ends_it_with_an_exception():
    async def scenario():
        async with in_front_of(breaking_after(b'data: {"content": "on the", "stop": false}\n\n')) as session:
            return await post(session, "converse-stream"), await post(session)

    (status, _, stream), whole = asyncio.run(scenario())
    assert status == 200
    assert b"on the" in stream
    assert b"serviceUnavailableException" in stream
    assert b"messageStop" not in stream
    assert whole[:2] == (503, "ServiceUnavailableException")


def test_a_caller_who_has_gone_frees_the_model_for_the_next(bedrock):
    chat = {"messages": [{"role": "user", "content": [{"text": "Write a very long story."}]}]}
    endless = {**chat, "inferenceConfig": {"maxTokens": 3500, "temperature": 1}}
    with pytest.raises(httpx.TimeoutException):
        httpx.post(f"{bedrock.url}/model/{NOVA}/converse", json=endless, timeout=1)
    url = f"{bedrock.url}/model/{NOVA}/converse-stream"
    with httpx.stream("POST", url, json=endless, timeout=20) as reply:
        next(reply.iter_raw())

    began = time.monotonic()
    reply = httpx.post(f"{bedrock.url}/model/{NOVA}/converse", json=BODY, timeout=60)

    assert reply.status_code == 200
    assert time.monotonic() - began < 8, "3,500 tokens take over a minute"


def test_the_gate_stays_open_after_failures():
    async def scenario():
        async with in_front_of(refusing(500)) as session:
            return {(await post(session))[0] for _ in range(SLOTS + MAX_WAITING + 3)}

    assert asyncio.run(scenario()) == {500}
