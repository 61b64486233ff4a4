"""The load balancer of a canary deployment, on loopback: a secret header leads to the new gateway."""

from __future__ import annotations

import asyncio
import threading

import aiohttp
from aiohttp import web

from qa_eval.blueprint.canary import HEADER

SECRET = "OfTheTest1"


class CanaryEdge:
    """Serves until closed; passes each request on, as the rules of the listener would."""

    def __init__(self, old: str, new: str) -> None:
        self.new_asked = self.old_asked = 0
        self._gateways = (old, new)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as self._session:
            self._ready.set()
            await self._stop.wait()
        await runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        is_new = request.headers.get(HEADER) == SECRET
        self.new_asked += is_new
        self.old_asked += not is_new
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        try:
            async with self._session.request(
                request.method, f"{self._gateways[is_new]}{request.path_qs}", data=await request.read(), headers=headers
            ) as answer:
                own = {name: value for name, value in answer.headers.items() if name.lower().startswith("x-litellm")}
                return web.Response(
                    body=await answer.read(), status=answer.status, content_type=answer.content_type, headers=own
                )
        except aiohttp.ClientConnectionError:
            return web.Response(status=503, text="no healthy task")
