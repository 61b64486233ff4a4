"""What the embedding tests share: the real model, an embedder that counts, a cache folder of their own, servers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from qa_eval.embedding import MiniLM, Vectors, default_embedder

Serve = Callable[[type[BaseHTTPRequestHandler]], str]


class CountingEmbedder:
    """Made-up unit vectors that depend on the text alone; remembers what it was asked for."""

    def __init__(self, name: str = "counting", dimensions: int = 8) -> None:
        self.name = name
        self.dimensions = dimensions
        self.calls: list[list[str]] = []

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call]

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls.append(list(texts))
        rows = np.empty((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = hashlib.sha256(f"{self.name}|{text}".encode("utf-8", "surrogatepass")).digest()
            row[:] = np.random.default_rng(list(seed)).normal(size=self.dimensions)
            row /= np.linalg.norm(row)
        return rows


@pytest.fixture
def counting() -> type[CountingEmbedder]:
    """The class, so that a test can make several."""
    return CountingEmbedder


@pytest.fixture(scope="session")
def minilm() -> MiniLM:
    """The real model."""
    return default_embedder()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No vectors of the user's are read or written."""
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a loopback HTTP server with a handler, and gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
