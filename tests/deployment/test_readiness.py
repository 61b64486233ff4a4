"""Waiting for a platform that starts, and for one that never does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qa_eval.deployment import readiness
from qa_eval.errors import DeploymentError


class Platform:
    """Answers as CloudFront does before the tasks are there, then as the servers."""

    def __init__(self) -> None:
        self.answers = {"/health/readiness": [502, 502, 503], "/phoenix/readyz": []}
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                waiting = platform.answers[self.path]
                self.send_response(waiting.pop(0) if waiting else 200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setattr(readiness, "_PAUSE_S", 0.0)
    made = Platform()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_it_waits_and_says_for_what_once(platform: Platform) -> None:
    lines: list[str] = []
    readiness.wait_until_ready(platform.url, lines.append)
    assert lines == [
        "Waiting for litellm to be ready (HTTP 502), at most 10 minutes ...",
        "Waiting for litellm to be ready (HTTP 503), at most 10 minutes ...",
    ]
    assert not any(platform.answers.values())


def test_what_is_ready_is_not_waited_for(platform: Platform) -> None:
    platform.answers["/health/readiness"] = []
    lines: list[str] = []
    readiness.wait_until_ready(platform.url, lines.append)
    assert lines == []


def test_it_gives_up_in_a_sentence(platform: Platform) -> None:
    platform.answers["/phoenix/readyz"] = [503] * 100_000
    with pytest.raises(DeploymentError, match=r"phoenix is not ready .* \(HTTP 503 at .*/readyz\): see its log"):
        readiness.wait_until_ready(platform.url, lambda line: None, patience_s=0.2)


def test_nobody_there_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PAUSE_S", 0.0)
    with pytest.raises(DeploymentError, match="ConnectError"):
        readiness.wait_until_ready("http://127.0.0.1:9", lambda line: None, patience_s=0.0)
