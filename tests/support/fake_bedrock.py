"""Amazon Bedrock at its network edge: answers at once, and fails as it is told to, a model or the guardrail at a time.

For what a real Bedrock cannot be made to do at a wished moment. The guardrail's findings are the local stand-in's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.stack.bedrock import guardrail
from qa_eval.stack.bedrock.eventstream import CONTENT_TYPE, encode_event
from qa_eval.stack.bedrock.guardrail import Source

HANG_S = 60.0
"""How long what hangs says nothing: longer than any test waits."""

_USAGE = {"inputTokens": 40, "outputTokens": 2, "totalTokens": 42}

Answer = Callable[[str], str]


@dataclass(frozen=True)
class Failure:
    """An error as Bedrock gives it, or, with status 0, no answer at all."""

    status: int
    kind: str = "ValidationException"
    message: str = "The provided model identifier is invalid."


GONE_400 = Failure(400)
GONE_404 = Failure(404, "ResourceNotFoundException", "This model version has reached the end of its life.")
THROTTLED = Failure(429, "ThrottlingException", "Too many requests, please wait before trying again.")
BROKEN = Failure(500, "InternalServerException", "The system encountered an unexpected error.")
UNAVAILABLE = Failure(503, "ServiceUnavailableException", "Bedrock is unable to process your request.")
HANGS = Failure(0)


def _prompt(body: dict[str, Any]) -> str:
    text: str = body["messages"][-1]["content"][0]["text"]
    return text


class FakeBedrock:
    """Serves until closed, on loopback."""

    def __init__(self, answer: Answer = lambda prompt: "yes") -> None:
        self.answer = answer
        self.failing: dict[str, Failure] = {}
        """Model id to what it does instead of answering."""
        self.delays: dict[str, float] = {}
        """Model id to the seconds that its answers take."""
        self.guardrail_failing: dict[Source, Failure] = {}
        """What the guardrail does instead of looking at questions (INPUT) or answers (OUTPUT)."""
        self.asked: list[str] = []
        """The model ids in the order in which they were asked, failures included."""
        self.prompts: list[str] = []
        self.looks = 0
        """How often the guardrail was asked, failures included."""
        self._policy = load_guardrail_policy()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the fake Bedrock did not start")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def heal(self) -> None:
        """Everything works again, and nothing has been asked."""
        self.failing, self.delays, self.guardrail_failing, self.answer = {}, {}, {}, lambda prompt: "yes"
        self.asked, self.prompts, self.looks = [], [], 0

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_post("/model/{model}/converse", self._converse)
        app.router.add_post("/model/{model}/converse-stream", self._stream)
        app.router.add_post("/model/{model}/invoke", self._embed)
        app.router.add_post("/guardrail/{id}/version/{version}/apply", self._apply)
        app.router.add_post("/v1/traces", self._take_traces)
        runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _take_traces(self, request: web.Request) -> web.StreamResponse:
        """In Phoenix's place, where only the gateway's own work counts: taken, unread."""
        return web.Response(content_type="application/x-protobuf")

    async def _converse(self, request: web.Request) -> web.StreamResponse:
        text = await self._answer_of(request)
        if isinstance(text, web.Response):
            return text
        message = {"role": "assistant", "content": [{"text": text}]}
        body = {"output": {"message": message}, "stopReason": "end_turn", "metrics": {"latencyMs": 1}}
        return web.json_response({**body, "usage": _USAGE})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """The answer in pieces of five characters, so that no piece holds a whole address."""
        text = await self._answer_of(request)
        if isinstance(text, web.Response):
            return text
        pieces = [text[start : start + 5] for start in range(0, len(text), 5)]
        deltas = [{"contentBlockIndex": 0, "delta": {"text": piece}} for piece in pieces]
        events = [
            encode_event("messageStart", {"role": "assistant"}),
            *(encode_event("contentBlockDelta", delta) for delta in deltas),
            encode_event("contentBlockStop", {"contentBlockIndex": 0}),
            encode_event("messageStop", {"stopReason": "end_turn"}),
            encode_event("metadata", {"usage": _USAGE, "metrics": {"latencyMs": 1}}),
        ]
        return web.Response(body=b"".join(events), headers={"content-type": CONTENT_TYPE})

    async def _embed(self, request: web.Request) -> web.StreamResponse:
        text = await self._answer_of(request, read=lambda body: str(body["inputText"]))
        return web.json_response({"embedding": [0.5] * 1024, "inputTextTokenCount": len(str(text))})

    async def _answer_of(self, request: web.Request, read: Callable[[Any], str] = _prompt) -> str | web.Response:
        model = request.match_info["model"]
        self.asked.append(model)
        if failure := self.failing.get(model):
            return await self._fail(failure)
        if delay := self.delays.get(model):
            await asyncio.sleep(delay)
        prompt = read(await _body(request))
        self.prompts.append(prompt)
        return self.answer(prompt)

    async def _apply(self, request: web.Request) -> web.StreamResponse:
        self.looks += 1
        body = await _body(request)
        if failure := self.guardrail_failing.get(body["source"]):
            return await self._fail(failure)
        texts = [block["text"]["text"] for block in body["content"]]
        return web.json_response(guardrail.apply(self._policy, body["source"], texts))

    async def _fail(self, failure: Failure) -> web.Response:
        if failure.status == 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), HANG_S)
        names = {"x-amzn-ErrorType": failure.kind}
        return web.json_response({"message": failure.message}, status=failure.status or 500, headers=names)


async def _body(request: web.Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(await request.read())
    return body
