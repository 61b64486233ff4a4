"""A gateway that answers every question after a fixed time, in a process of its own; it keeps the times itself.

python benchmarks/fixed_gateway.py SECONDS [PER_SECOND]

With PER_SECOND, a token bucket answers what is beyond it with 429.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

BURST = 10.0
"""Tokens that the bucket holds."""


class FixedGateway:
    """Counts and times what it is asked, so that every harness is measured from the same side."""

    def __init__(self, seconds: float, per_second: float | None = None) -> None:
        self._seconds, self._per_second = seconds, per_second
        self._tokens, self._filled = BURST, time.monotonic()
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
        self._refused = 0
        self._answers: list[float] = []
        self._judgements: list[float] = []

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "qa"}]})

    async def _chat(self, request: web.Request) -> web.Response:
        self._first = self._first or time.time()
        self._asked += 1
        judges = b"You are judging" in await request.read()
        if not self._takes():
            self._refused += 1
            return web.json_response({"error": {"message": "too many"}}, status=429, headers={"retry-after": "0.5"})
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
            "refused": self._refused,
            "answers": self._answers,
            "judgements": self._judgements,
        }
        self._reset()
        return web.json_response(seen)

    def _takes(self) -> bool:
        """Whether the bucket has a token, which is then taken."""
        if self._per_second is None:
            return True
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        takes = self._tokens >= 1
        self._tokens -= takes
        return takes


@contextmanager
def gateway(seconds: float, per_second: float | None = None) -> Iterator[str]:
    """The address of a gateway in a process of its own."""
    command = [sys.executable, __file__, str(seconds), *([] if per_second is None else [str(per_second)])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def get(url: str) -> Any:
    """What a server's page holds, in JSON."""
    with urllib.request.urlopen(url, timeout=120) as response:
        return json.load(response)


async def serve(seconds: float, per_second: float | None = None) -> None:
    runner = web.AppRunner(FixedGateway(seconds, per_second).app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(float, sys.argv[1:])))
