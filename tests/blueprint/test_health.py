"""The container check is run as a container would run it, against a server that is well, sick, hung or not there."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import get_args

import pytest

from qa_eval.blueprint.health import HEALTH, container_check
from qa_eval.blueprint.routes import PORTS, Server


class Handler(BaseHTTPRequestHandler):
    status = 200
    delay = 0.0
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        time.sleep(self.delay)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[Callable[..., ThreadingHTTPServer]]:
    started: list[ThreadingHTTPServer] = []

    def start(status: int, delay: float = 0.0) -> ThreadingHTTPServer:
        handler = type("Answer", (Handler,), {"status": status, "delay": delay, "asked": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def run_check(server: Server, port: int, timeout: int = 5) -> int:
    _, *arguments = container_check(server, port=port, timeout=timeout)
    return subprocess.run([sys.executable, *arguments], stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize("server", get_args(Server))
def test_a_live_server_passes_and_is_asked_for_its_liveness(server, answering) -> None:
    live = answering(200)

    assert run_check(server, live.server_port) == 0
    assert live.RequestHandlerClass.asked == [HEALTH[server].liveness]


@pytest.mark.parametrize("status", [302, 401, 404, 500, 503])
def test_a_sick_server_fails(status, answering) -> None:
    assert run_check("litellm", answering(status).server_port) == 1


def test_a_hung_server_fails_in_time(answering) -> None:
    begun = time.monotonic()

    assert run_check("litellm", answering(200, delay=3).server_port, timeout=1) == 1
    assert time.monotonic() - begun < 2.5


def test_a_server_that_is_not_there_fails(answering) -> None:
    gone = answering(200)
    gone.shutdown()
    gone.server_close()

    assert run_check("phoenix", gone.server_port) == 1


def test_every_server_has_both_paths_and_its_own_port_in_the_check() -> None:
    assert HEALTH.keys() == PORTS.keys() == set(get_args(Server))
    for server, port in PORTS.items():
        command = container_check(server)
        assert command[:2] == ("python3", "-c")
        assert f'127.0.0.1", {port},' in command[2]
