"""The gateway's traces: what they carry, and that a Phoenix that is slow or not there costs the gateway nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_bedrock import FakeBedrock
from real_gateway import RealGateway, blueprint_config, start_gateway

MICRO = "us.amazon.nova-micro-v1:0"
CALLS = 20


def spans_of(database: Path, marker: str) -> dict[str, dict[str, Any]]:
    """The spans of the trace whose question holds the marker, by name: attributes, with start and end."""
    query = """SELECT name, attributes, start_time, end_time FROM spans
        WHERE trace_rowid IN (SELECT trace_rowid FROM spans WHERE attributes LIKE ?)"""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(query, (f"%{marker}%",)).fetchall()
    connection.close()
    return {name: {**json.loads(told), "start": start, "end": end} for name, told, start, end in rows}


def test_a_trace_carries_model_messages_tokens_latency_and_cost(
    gateway: RealGateway, bedrock: FakeBedrock, stack_folder: Path
):
    bedrock.answer = lambda prompt: "Write to b.c@example.org."
    reply = gateway.ask("Marker of the trace: who is a.b@example.org?")
    database = stack_folder / "stack" / "phoenix" / "phoenix.db"

    end = time.monotonic() + 20
    while not (spans := spans_of(database, "Marker of the trace")):
        assert time.monotonic() < end, "the trace did not arrive"
        time.sleep(0.5)

    span = spans["chat qa"]
    llm = span["llm"]
    question, answer = llm["input_messages"][0]["message"], llm["output_messages"][0]["message"]
    assert question == {"role": "user", "content": "Marker of the trace: who is [EMAIL_REDACTED]?"}
    assert answer == {"role": "assistant", "content": "Write to {EMAIL}."}
    assert span["litellm"]["provider"]["model"] == f"bedrock/{MICRO}"
    assert {name: llm["token_count"][name] for name in ("prompt", "completion", "total")} == {
        "prompt": 40,
        "completion": 2,
        "total": 42,
    }
    assert not any("token_count" in other.get("llm", {}) for name, other in spans.items() if name != "chat qa")
    assert span["litellm"]["cost"]["total"] == pytest.approx(float(reply.headers["x-litellm-response-cost"]))
    assert span["start"] < span["end"]
    assert "execute_guardrail bedrock-content-filter-input" in spans


class Collector:
    """Phoenix's place: nobody listens there, or it takes traces and is silent, or it answers."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._server: socket.socket | None = None
        self._accepted: list[socket.socket] = []
        self.posts = 0
        self._answers = False

    def listen(self, *, answers: bool) -> None:
        self.close()
        self._answers = answers
        self._server = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def close(self) -> None:
        for each in (self._server, *self._accepted):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept()
                each.close()
        self._server, self._accepted = None, []

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self._accepted.append(connection)
            self.posts += 1
            if self._answers:
                connection.recv(1_000_000)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n"
                connection.sendall(head + b"Connection: close\r\n\r\n")
                connection.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def latency_s(gateway: RealGateway) -> float:
    """The median of some calls, after one that is not counted."""
    times = []
    for _ in range(CALLS + 1):
        began = time.perf_counter()
        assert gateway.ask().status_code == 200
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def test_without_phoenix_or_with_a_silent_one_the_gateway_is_as_fast_warns_and_recovers(
    bedrock: FakeBedrock, collector: Collector, tmp_path: Path
):
    collector.listen(answers=True)
    # Spans leave every 0.5 s instead of every 5, so that sending and calling happen at the same time.
    gateway = start_gateway(
        tmp_path,
        blueprint_config(),
        bedrock.url,
        f"http://127.0.0.1:{collector.port}",
        OTEL_BSP_SCHEDULE_DELAY="500",
        OTEL_EXPORTER_OTLP_TIMEOUT="2",
    )
    try:
        there = latency_s(gateway)
        collector.close()
        gone = latency_s(gateway)
        collector.listen(answers=False)
        silent = latency_s(gateway)
        assert wait_for(lambda: "xport" in gateway.log.read_text(), 20), "the log does not say that traces are lost"
        collector.listen(answers=True)
        before = collector.posts
        gateway.ask()
        assert wait_for(lambda: collector.posts > before, 20), "no traces after Phoenix came back"
    finally:
        gateway.stop()

    # What blocked would wait for seconds; the rest is for whatever else the machine does meanwhile.
    assert gone < 2 * there + 0.05, f"{gone:.3f} s without Phoenix, {there:.3f} s with it"
    assert silent < 2 * there + 0.05, f"{silent:.3f} s with a silent Phoenix, {there:.3f} s with it"


def wait_for(condition: Any, patience: float) -> bool:
    end = time.monotonic() + patience
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.2)
    return bool(met)
