"""Streamed answers of a gateway at its network edge: whole, cut, late or broken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from fake_gateway import FakeGateway

USAGE = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42, "cost": 0.0005}
DONE = b"data: [DONE]\n\n"


def event(data: Any) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


WHOLE = (chunk(""), chunk(" Par"), chunk("is\n"), chunk(finish="stop"), event({"choices": [], "usage": USAGE}), DONE)


def streamed(
    *pieces: bytes | float, cut: bool = False, status: int = 200, **more: str
) -> Callable[[FakeGateway, str], Any]:
    """An answer in pieces, some of which are pauses in seconds, with some headers."""

    class Streamed(web.StreamResponse):
        async def prepare(self, request: web.BaseRequest) -> Any:
            writer = await super().prepare(request)
            for piece in pieces:
                if isinstance(piece, bytes):
                    await self.write(piece)
                else:
                    await asyncio.sleep(piece)
            if cut:
                assert request.transport is not None
                await asyncio.sleep(0.02)
                request.transport.close()
            return writer

    def answer(gateway: FakeGateway, prompt: str) -> web.StreamResponse:
        headers = {"content-type": "text/event-stream", "x-litellm-model-id": "deployment-1"}
        return Streamed(status=status, headers={**headers, "x-litellm-attempted-retries": "1", **more})

    return answer
