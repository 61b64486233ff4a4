"""The Phoenix server at its edges: none there, or a page in its place."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qa_eval.errors import PhoenixError, PhoenixUnavailable
from qa_eval.phoenix.client import Phoenix
from qa_eval.phoenix.datasets import fetch_dataset


def test_a_phoenix_that_is_none() -> None:
    async def check(url: str) -> None:
        async with Phoenix(url, None) as server:
            await server.check()

    with pytest.raises(PhoenixError, match=r"No Phoenix answers at http://127.0.0.1:9: start it"):
        asyncio.run(check("http://127.0.0.1:9"))


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_page_in_phoenixs_place_is_no_answer(status: int) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            pass

    async def get(url: str) -> Any:
        async with Phoenix(url, None) as server:
            return await server.get("v1/experiments/x/json")

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(PhoenixUnavailable, match="does not say what it has"):
            asyncio.run(get(f"http://127.0.0.1:{server.server_address[1]}"))
        with pytest.raises(PhoenixError):
            fetch_dataset(f"http://127.0.0.1:{server.server_address[1]}", None, "x")
        server.shutdown()
