"""The edge: real nginx from its own environment, with two servers behind it that say what reached them."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from alb import Rule, decide
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qa_eval.blueprint.routes import ROUTES, Route, path_at_server
from qa_eval.stack import edge, environments, health, ports, processes, servers, state
from qa_eval.stack.processes import Server


class Echo(BaseHTTPRequestHandler):
    """Answers what it was asked: its own name, the raw path, the headers, the size of the body."""

    protocol_version = "HTTP/1.1"
    name = ""

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            return self.switch()
        if self.path.endswith("/slowly"):
            return self.drip()
        size = int(self.headers.get("Content-Length") or 0)
        left = size
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        said = {"server": self.name, "path": self.requestline.split()[1], "headers": dict(self.headers), "size": size}
        body = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    do_POST = do_GET

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(3):
            self.wfile.write(f"data: {number}\n\n".encode())
            time.sleep(0.4)

    def switch(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.wfile.write(b"hello " + self.rfile.read(4))
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass(frozen=True)
class Edge:
    port: int

    def get(self, target: str, **headers: str) -> tuple[int, dict]:
        """Ask for exactly this target; nothing on the way resolves or quotes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            lines = [f"GET {target} HTTP/1.1", "Host: edge.example", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            response = http.client.HTTPResponse(connection)
            response.begin()
            body = response.read()
        return response.status, json.loads(body) if response.status == 200 else {}


@pytest.fixture(scope="module")
def behind() -> Iterator[dict[str, int]]:
    """The two servers behind, by name."""
    started = []
    for name in ("litellm", "phoenix"):
        handler = type("Named", (Echo,), {"name": name})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append((name, server))
    yield {name: server.server_port for name, server in started}
    for _, server in started:
        server.shutdown()
        server.server_close()


def start(behind: dict[str, int], routes: tuple[Route, ...], data: str) -> Server:
    """Bring nginx up with these routes, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", data)
        with state.stack_lock(lambda line: None):
            plan = servers.StackPlan(
                {**dict.fromkeys(ports.DEFAULTS, 1), **behind, "edge": ports._free_port([])}, state.StackFeatures()
            )
        described = next(server for server in servers.describe(plan) if server.name == "edge")
    config = edge.configuration(described.port, behind, routes=routes, user=servers._root())
    server = Server(**{**vars(described), "files": {edge.CONFIG_NAME: config}})
    environments.ensure(servers.environment("edge"), lambda line: None)
    health.wait_until_healthy([(server, processes.start(server))], lambda line: None, timeout=20)
    return server


@pytest.fixture(scope="module")
def running(behind, tmp_path_factory) -> Iterator[Edge]:
    """nginx with the blueprint's routes."""
    server = start(behind, ROUTES, str(tmp_path_factory.mktemp("edge")))
    yield Edge(server.port)
    processes.stop({server.mark: None})


@pytest.fixture(scope="module")
def odd(behind, tmp_path_factory) -> Iterator[Edge]:
    """nginx with a table that holds every character and wildcard that a path pattern may have."""
    server = start(behind, ODD, str(tmp_path_factory.mktemp("odd")))
    yield Edge(server.port)
    processes.stop({server.mark: None})


ODD = (
    Route(1, ("/a?c", "*/end", "/q\"'$1~@:+_-.x"), "phoenix"),
    Route(2, ("/strip.me/*", "/strip.me"), "phoenix", strip="/strip.me"),
    Route(7, ("/a*", "/[ab]"), "litellm"),
)
PIECES = st.sampled_from(
    ["phoenix", "Phoenix", "phoeni", "x", "/", "//", "/.", "/..", "%2F", "%2f", "%2e%2e", "%70hoenix", "%25", "%C3%A9",
     "é", "[", "]", "{", "}", "*", "$1", "~", ";", ":", "@", "&", "=", "+", "'", '"', "\\", "|", "^", "`", "v1/traces"]
)  # fmt: skip
PATHS = st.lists(PIECES, max_size=7).map(lambda pieces: "/" + "".join(pieces))
BELOW = st.lists(PIECES, max_size=5).map(lambda pieces: "/phoenix" + "".join(pieces))
QUERIES = st.sampled_from(["", "?", "?a=/phoenix/b", "?x=%2F&y=?", "?/phoenix"])


def raw(path: str) -> str:
    """As a client sends it: UTF-8, one byte a character."""
    return path.encode().decode("latin-1")


def climbs_out(path: str) -> bool:
    """Whether `..` leads above the root; nginx refuses that."""
    depth = 0
    for part in path.replace("%2e", ".").replace("%2F", "/").replace("%2f", "/").split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return True
    return False


def check(asked: Edge, routes: tuple[Route, ...], path: str, query: str) -> None:
    """The edge sends the request where the load balancer would, with the same path, or refuses what climbs out."""
    status, said = asked.get(raw(path + query))
    expected = decide([Rule(route.priority, route.paths, str(route.priority)) for route in routes], raw(path))
    if climbs_out(path):
        assert status == 400
    elif expected is None:
        assert status == 404
    else:
        (route,) = [route for route in routes if str(route.priority) == expected]
        assert status == 200
        assert said["server"] == route.server
        assert said["path"] == path_at_server(route, raw(path)) + query


@given(path=PATHS | BELOW, query=QUERIES)
@example(path="/phoenix", query="?next=/phoenix/")
@example(path="//phoenix/x", query="")
@example(path="/phoenix//x", query="")
@example(path="/v1/../phoenix/x", query="")
@example(path="/phoenix/../v1/models", query="")
@example(path="/%70hoenix/x", query="")
@example(path="/phoenix%2Fx", query="")
@example(path="/PHOENIX/x", query="")
@example(path="/phoenix/..", query="")
@settings(max_examples=250, deadline=None)
def test_nginx_and_the_load_balancer_decide_alike(running: Edge, path: str, query: str) -> None:
    """Feature: litellm-ecs-demo, Property 2: a path goes to the same server here and on AWS, with the same rest."""
    check(running, ROUTES, path, query)


ODD_PATHS = st.lists(
    st.sampled_from(["a", "b", "c", "/", "/end", "strip.me", "stripxme", "[ab]", "q\"'$1~@:+_-.x", "x", "%2F"]),
    max_size=4,
).map(lambda pieces: "/" + "".join(pieces))


@given(path=ODD_PATHS, query=QUERIES)
@example(path="/q\"'$1~@:+_-.x", query="")
@example(path="/strip.me", query="?a")
@settings(max_examples=120, deadline=None)
def test_so_they_do_with_any_table(odd: Edge, path: str, query: str) -> None:
    """Feature: litellm-ecs-demo, Property 2: wildcards and all allowed characters mean the same here and there."""
    check(odd, ODD, path, query)


def test_the_servers_see_who_asked_and_how(running) -> None:
    _, said = running.get("/phoenix/x", Authorization="Bearer abc")

    headers = {name.lower(): value for name, value in said["headers"].items()}
    assert headers["host"] == "edge.example"
    assert headers["authorization"] == "Bearer abc"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert "upgrade" not in headers


def test_a_big_body_passes(running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    connection.request("POST", "/phoenix/v1/traces", body=bytes(30_000_000))
    reply = connection.getresponse()

    assert reply.status == 200
    assert json.loads(reply.read())["size"] == 30_000_000
    connection.close()


def test_a_stream_arrives_as_it_is_made(running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request("GET", "/v1/slowly")
    reply = connection.getresponse()
    at = []
    while reply.read1(100):
        at.append(time.monotonic())

    assert len(at) == 3
    assert at[-1] - at[0] > 0.5
    connection.close()


def test_a_web_socket_is_handed_on(running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        lines = ["GET /phoenix/graphql HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket", "", "ping"]
        connection.sendall("\r\n".join(lines).encode())
        received = b""
        while b"hello ping" not in received and (chunk := connection.recv(4096)):
            received += chunk

    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.endswith(b"hello ping")


def test_a_server_that_is_away_is_a_502_at_once(running, behind, tmp_path) -> None:
    away = start({**behind, "litellm": ports._free_port([])}, ROUTES, str(tmp_path))
    begun = time.monotonic()
    try:
        assert Edge(away.port).get("/v1/models")[0] == 502
        assert Edge(away.port).get("/phoenix/x")[0] == 200
    finally:
        processes.stop({away.mark: None})
    assert time.monotonic() - begun < 5
