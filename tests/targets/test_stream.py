"""Streamed answers: what each stream, whole or broken, becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from fake_gateway import KEY, FakeGateway, Serve, blocked, completion, error
from fake_stream import DONE, USAGE, WHOLE, chunk, event, streamed
from hypothesis import given
from hypothesis import strategies as st

from qa_eval.targets.base import Attempt
from qa_eval.targets.gateway import GatewayClient
from qa_eval.targets.outcome import Outcome
from qa_eval.targets.stream import EventDecoder, StreamedCompletion


def attempt(gateway: FakeGateway, timeout_s: float = 20.0, times: int = 1) -> Attempt:
    async def ask() -> Attempt:
        async with GatewayClient(gateway.url, KEY, timeout_s=timeout_s) as client:
            for _ in range(times):
                found = await client.complete("qa", [{"role": "user", "content": "Who?"}], {}, stream=True)
            return found

    return asyncio.run(ask())


def test_an_answer_has_its_first_token_tokens_cost_and_deployment(serve: Serve) -> None:
    early = {"x-litellm-response-cost": "0.0"}
    gateway = serve(streamed(0.1, b": ping\n\n", *WHOLE[:2], 0.2, *WHOLE[2:], **early))
    reply = attempt(gateway).reply
    assert (reply.outcome, reply.text) == (Outcome.ANSWERED, "Paris")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost_usd) == (40, 2, 0.0005)
    assert (reply.deployment, reply.gateway_retries) == ("deployment-1", 1)
    assert reply.first_token_s is not None
    assert 0.1 <= reply.first_token_s <= reply.latency_s - 0.2
    (request,) = gateway.requests
    assert (request["stream"], request["stream_options"]) == (True, {"include_usage": True})


def test_the_connection_is_used_again(serve: Serve) -> None:
    ports = set()

    def answer(gateway: FakeGateway, prompt: str) -> Any:
        response = streamed(*WHOLE)(gateway, prompt)
        prepare = response.prepare

        async def noting(request: web.BaseRequest) -> Any:
            assert request.transport is not None
            ports.add(request.transport.get_extra_info("peername"))
            return await prepare(request)

        response.prepare = noting
        return response

    attempt(serve(answer), times=3)
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("answer", "outcome", "retry", "message"),
    [
        (streamed(*WHOLE[:-2]), Outcome.ANSWERED, False, ""),
        (streamed(*WHOLE[:2], DONE), Outcome.ANSWERED, False, ""),
        (streamed(*WHOLE[:3]), Outcome.GATEWAY_ERROR, True, "the stream ended before"),
        (streamed(), Outcome.GATEWAY_ERROR, True, "the stream ended before"),
        (streamed(*WHOLE[:3], chunk("!")[:-9]), Outcome.GATEWAY_ERROR, True, "the stream ended before"),
        (streamed(*WHOLE[:3], cut=True), Outcome.GATEWAY_ERROR, True, "the connection was cut"),
        (streamed(chunk("x"), 5.0), Outcome.TIMEOUT, False, "no answer within 0.5 s"),
        (streamed(5.0), Outcome.TIMEOUT, False, "no answer within 0.5 s"),
        (streamed(chunk("", finish="stop"), DONE), Outcome.EMPTY, False, "empty"),
        (streamed(chunk("no", finish="content_filter"), DONE), Outcome.BLOCKED_OUTPUT, False, "no"),
        (streamed(DONE), Outcome.INVALID_RESPONSE, False, "no choices"),
        (streamed(chunk("x"), b"data: <html>\n\n"), Outcome.INVALID_RESPONSE, False, "no chunk of a chat completion"),
        (streamed(event([1])), Outcome.INVALID_RESPONSE, False, "no chunk of a chat completion"),
        (streamed(event({"choices": [{"delta": {"content": [1]}}]})), Outcome.INVALID_RESPONSE, False, "no chunk"),
        # An error before the answer began was retried by the gateway; one after that, by nobody.
        (streamed(event({"error": {"message": "boom", "code": "500"}})), Outcome.GATEWAY_ERROR, False, "boom"),
        (
            streamed(chunk("x"), event({"error": {"message": "boom", "code": "503"}})),
            Outcome.GATEWAY_ERROR,
            True,
            "boom",
        ),
        (streamed(chunk("x"), event({"error": "boom"})), Outcome.GATEWAY_ERROR, True, "boom"),
        (streamed(chunk("x"), event({"error": {"message": "slow", "code": 429}})), Outcome.RATE_LIMITED, True, "slow"),
        (streamed(chunk("x"), event({"error": {"message": "what", "code": 400}})), Outcome.REFUSED, False, "what"),
        (streamed(event({"error": {"message": "no", "code": "content_filter"}})), Outcome.BLOCKED_INPUT, False, "no"),
        # LiteLLM's output guardrail, and other errors before the first chunk: an event with an HTTP status.
        (
            streamed(b"data: ", blocked("post_call").body, b"\n\n", DONE, status=400),
            Outcome.BLOCKED_OUTPUT,
            False,
            "Your request contains content",
        ),
        (lambda *_: blocked("pre_call"), Outcome.BLOCKED_INPUT, False, "Your request contains content"),
        (lambda *_: error(429, "slow down"), Outcome.RATE_LIMITED, True, "slow down"),
        (lambda *_: error(500, "boom"), Outcome.GATEWAY_ERROR, False, "boom"),
    ],
)
def test_every_end_of_a_stream_has_a_name(
    serve: Serve, answer: Any, outcome: Outcome, retry: bool, message: str
) -> None:
    gateway = serve(answer)
    found = attempt(gateway, timeout_s=0.5)
    assert (found.reply.outcome, found.retry) == (outcome, retry), found
    assert message in found.reply.message
    assert bool(found.reply.text) is outcome.is_answer, "no half answer"
    assert gateway.asked.total() == 1


def test_a_gateway_that_keeps_the_connection_open_after_the_end_has_answered(serve: Serve) -> None:
    reply = attempt(serve(streamed(*WHOLE, 30.0))).reply
    assert (reply.outcome, reply.text) == (Outcome.ANSWERED, "Paris")
    assert reply.latency_s < 0.9, "what follows the end is not measured"


def test_a_gateway_that_ignores_streaming_is_read_whole(serve: Serve) -> None:
    reply = attempt(serve(lambda *_: completion("Paris"))).reply
    assert (reply.outcome, reply.text, reply.cost_usd) == (Outcome.ANSWERED, "Paris", 0.0005)
    assert reply.first_token_s is None


def test_a_gateway_that_refuses_stream_options_is_asked_without_them(serve: Serve) -> None:
    def strict(gateway: FakeGateway, prompt: str) -> Any:
        if "stream_options" in gateway.requests[-1]:
            return error(400, "Unrecognized request argument supplied: stream_options")
        return streamed(*WHOLE[:4], DONE)(gateway, prompt)

    gateway = serve(strict)
    first = attempt(gateway)
    assert (first.retry, first.retry_after_s) == (True, 0.0)
    reply = attempt(gateway, times=2).reply
    assert (reply.outcome, reply.text, reply.prompt_tokens, reply.cost_usd) == (Outcome.ANSWERED, "Paris", None, None)
    assert reply.first_token_s is not None


def cuts(whole: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in pairwise(ends)]


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=6),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
    spaced=st.booleans(),
    places=st.lists(st.integers(0, 10_000), max_size=40),
)
def test_a_stream_reads_the_same_wherever_its_bytes_are_cut(
    texts: list[str], line_end: bytes, spaced: bool, places: list[int]
) -> None:
    events = [chunk(text) for text in texts] + [chunk(finish="stop", usage=USAGE), b": comment\nevent: x\n\n", DONE]
    whole = b"".join(events)
    if not spaced:
        whole = whole.replace(b"data: ", b"data:")
    whole = whole.replace(b"\n", line_end)

    async def read(pieces: Sequence[bytes]) -> StreamedCompletion:
        async def each() -> Any:
            for piece in pieces:
                yield piece

        found = StreamedCompletion()
        await found.read(each())
        return found

    found = asyncio.run(read(cuts(whole, places)))
    assert found.is_complete
    assert found.to_json()["choices"][0]["message"]["content"] == "".join(texts)
    assert found.cost_usd == 0.0005
    assert found.has_begun is any(texts)


@given(
    data=st.lists(st.lists(st.binary(max_size=6).filter(lambda d: not set(d) & set(b"\r\n")), min_size=1), max_size=5),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    places=st.lists(st.integers(0, 10_000), max_size=20),
)
def test_events_of_several_lines_and_every_line_end(
    data: list[list[bytes]], line_end: bytes, places: list[int]
) -> None:
    whole = b"".join(b"".join(b"data: " + line + line_end for line in lines) + line_end for lines in data)
    decoder = EventDecoder()
    found = [each for piece in cuts(whole, places) for each in decoder.feed(piece)]
    expected = [b"\n".join(lines) for lines in data]
    # With carriage returns alone, the last line end is known to be whole when another byte follows.
    found += list(decoder.feed(b":\n")) if line_end == b"\r" else []
    assert found == expected
