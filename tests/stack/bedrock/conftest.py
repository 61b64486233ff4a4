"""The local Bedrock as a user has it: processes of their own, the real model, a real boto3 client."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import qa_eval.stack
from aws import connect
from qa_eval.stack import environments
from qa_eval.stack.servers import environment

MODEL_SERVER = Path(qa_eval.stack.__file__).with_name("model_server.py")


@dataclass(frozen=True)
class Running:
    """A server process that answers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


Start = Callable[..., AbstractContextManager[Running]]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str], port: int, log: Path) -> Iterator[Running]:
    """A server until the end of the block; `/health` says when it is up."""
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{url}/health").status_code == 200:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield Running(url, process, log)
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def model_command() -> Callable[[int], list[str]]:
    """How the model server is started on a port, by its own environment's Python."""
    model = environment("model")
    environments.ensure(model, print)
    return lambda port: [str(model.python), "-P", str(MODEL_SERVER), "--port", str(port)]


@pytest.fixture(scope="session")
def start_model(model_command: Callable[[int], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a model server."""

    def start() -> AbstractContextManager[Running]:
        port = free_port()
        return serving(model_command(port), port, tmp_path_factory.mktemp("model") / "log")

    return start


@pytest.fixture(scope="session")
def model(start_model: Start) -> Iterator[Running]:
    """The real model, for all tests."""
    with start_model() as running:
        yield running


@pytest.fixture(scope="session")
def start_bedrock(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts a local Bedrock in front of a model server, with a replay table if need be."""

    def start(model_url: str, *more: str) -> AbstractContextManager[Running]:
        port = free_port()
        command = [sys.executable, "-P", "-m", "qa_eval.stack.bedrock", "--port", str(port), "--model-url", model_url]
        return serving([*command, *more], port, tmp_path_factory.mktemp("bedrock") / "log")

    return start


@pytest.fixture(scope="session")
def bedrock(start_bedrock: Start, model: Running) -> Iterator[Running]:
    """The local Bedrock in front of the real model, for all tests."""
    with start_bedrock(model.url) as running:
        yield running


@pytest.fixture(scope="session")
def client(bedrock: Running) -> Iterator[Any]:
    """boto3, connected to the local Bedrock."""
    with contextlib.closing(connect(bedrock.url)) as connected:
        yield connected


@pytest.fixture(scope="session")
def connected() -> Callable[[str], AbstractContextManager[Any]]:
    """boto3, connected to any other endpoint."""
    return lambda url: contextlib.closing(connect(url))
