"""A gateway at its network edge: an OpenAI-compatible server on loopback that fails as it is told to.

For what the real LiteLLM cannot be made to do at a wished moment; everything else is tested on the real one.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

KEY = "sk-of-the-fake"
Answer = Callable[["FakeGateway", str], Any]


class FakeGateway:
    """Serves until closed; `answer` maps a prompt to a text, or to an aiohttp response, or a coroutine of one."""

    def __init__(self, answer: Answer, models: tuple[str, ...] = ("qa", "other")) -> None:
        self.answer = answer
        self.models = models
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.deployments: list[dict[str, Any]] = []
        """What `/model/info` says; nothing makes it a gateway that is not LiteLLM."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/model/info", self._info)
        app.router.add_post("/v1/chat/completions", self._chat)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "Authentication Error"}}, status=401)
        return web.json_response({"object": "list", "data": [{"id": model} for model in self.models]})

    async def _info(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"data": self.deployments}, status=200 if self.deployments else 404)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        self.asked[prompt] += 1
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        answer = self.answer(self, prompt)
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer if isinstance(answer, web.StreamResponse) else completion(answer)


def completion(text: str | None, **headers: str) -> web.Response:
    """A chat completion, with the headers that LiteLLM sends."""
    return web.json_response(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "a-model",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42},
        },
        headers={"x-litellm-response-cost": "0.0005", "x-litellm-model-id": "deployment-1", **headers},
    )


def error(
    status: int, message: str = "it failed", fields: Any = None, kind: str = "error", **headers: str
) -> web.Response:
    """An error as LiteLLM gives it."""
    body = {"message": message, "type": kind, "code": str(status), "provider_specific_fields": fields}
    return web.json_response({"error": body}, status=status, headers=headers)


def blocked(mode: str) -> web.Response:
    """A block by the Bedrock guardrail, as LiteLLM 1.106 gives it."""
    return error(
        400,
        "Violated guardrail policy",
        {
            "bedrock_guardrail_response": "Your request contains content that cannot be processed.",
            "guardrail_mode": mode,
        },
    )


Serve = Callable[[Answer], FakeGateway]
"""Starts a gateway that answers so; the fixture `serve`."""
