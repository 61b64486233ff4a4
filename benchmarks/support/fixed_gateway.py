"""A gateway that answers every question after a fixed time, in a process of its own; it keeps the times itself.

python benchmarks/support/fixed_gateway.py SECONDS
"""

from __future__ import annotations

import asyncio
import sys
import time

from aiohttp import web


class FixedGateway:
    """Counts and times what it is asked, so that every harness is measured from the same side."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._reset()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/stats", self._stats)
        return app

    def _reset(self) -> None:
        self._first: float | None = None
        self._last = 0.0
        self._asked = 0
        self._answers: list[float] = []
        self._judgements: list[float] = []

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "qa"}]})

    async def _chat(self, request: web.Request) -> web.Response:
        self._first = self._first or time.time()
        self._asked += 1
        judges = b"You are judging" in await request.read()
        await asyncio.sleep(self._seconds)
        self._last = time.time()
        (self._judgements if judges else self._answers).append(self._last)
        content = '{"explanation": "It is the same.", "label": "right"}' if judges else "Denver"
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "qa",
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 200, "completion_tokens": 2, "total_tokens": 202},
            }
        )

    async def _stats(self, request: web.Request) -> web.Response:
        """What was seen since the last look."""
        seen = {
            "first": self._first,
            "last": self._last,
            "asked": self._asked,
            "answers": self._answers,
            "judgements": self._judgements,
        }
        self._reset()
        return web.json_response(seen)


async def serve(seconds: float) -> None:
    runner = web.AppRunner(FixedGateway(seconds).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
