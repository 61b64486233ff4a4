"""AWS at its network edge: a JSON server on loopback that answers what the SDK asks, as a test tells it to."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """What the SDK asked."""

    path: str
    headers: dict[str, str]
    body: bytes


class AwsEdge:
    """Serves until closed; `answer` maps a request to a status and a JSON document, or a text to be sent as it is."""

    def __init__(self, answer: Callable[[Asked], tuple[int, Any]]) -> None:
        self.asked: list[Asked] = []
        edge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                edge.asked.append(Asked(self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                status, document = answer(edge.asked[-1])
                content = document if isinstance(document, str) else json.dumps(document)
                self.send_response(status)
                self.send_header("content-length", str(len(content.encode())))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # who asked has gone
                    self.wfile.write(content.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def no_account(region: str = "us-east-1") -> dict[str, str]:
    """Environment variables with which the SDK finds keys that nobody knows, and nothing of the user's."""
    return {
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
