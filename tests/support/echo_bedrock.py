"""A Bedrock endpoint that echoes: Converse answers with the last message, or with what a test sets; guarded as ours.

Run as a process of its own, `python echo_bedrock.py PORT`, so that a test's own work does not slow it. `POST /answer`
sets the text of all answers from then on; an empty one echoes again.
"""

from __future__ import annotations

import sys
from typing import Any

from aiohttp import web

from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.stack.bedrock import guardrail


class Echo:
    """The routes."""

    def __init__(self) -> None:
        self._answer = ""
        self._policy = load_guardrail_policy()

    async def set_answer(self, request: web.Request) -> web.Response:
        self._answer = await request.text()
        return web.Response()

    async def converse(self, request: web.Request) -> web.Response:
        messages = (await request.json())["messages"]
        text = self._answer or "".join(block["text"] for block in messages[-1]["content"])
        return web.json_response(
            {
                "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
                "metrics": {"latencyMs": 1},
            }
        )

    async def apply(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        texts = [block["text"]["text"] for block in body["content"]]
        return web.json_response(guardrail.apply(self._policy, body["source"], texts))


def main() -> None:
    """Serve until the process is ended."""
    echo, app = Echo(), web.Application(client_max_size=2**20)
    app.router.add_get("/health", lambda _: _ok())
    app.router.add_post("/answer", echo.set_answer)
    app.router.add_post("/model/{model}/converse", echo.converse)
    app.router.add_post("/guardrail/{guardrail}/version/{version}/apply", echo.apply)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


async def _ok() -> web.Response:
    return web.json_response({})


if __name__ == "__main__":
    main()
