"""The database client's environment: Node.js, npm's registry, and Prisma's own host, each there or not.

npm and Prisma's scripts are real. Prisma's host, which cannot be reached everywhere, is a local server.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qa_eval import stack
from qa_eval.errors import StackError
from qa_eval.stack import environments, prisma, servers
from qa_eval.stack.environments import ServerEnvironment

ENGINE = b"#!/bin/sh\necho engine of a test\n"
FOREIGN = b"\x7fELF of another machine"


@pytest.fixture
def without_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leaves on the PATH only what a test puts there: the name of a program and its script."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def put(**scripts: str) -> None:
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return put


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({}, "it is missing"),
        ({"node": "echo v20.1.0"}, "it is missing"),
        ({"node": "echo v18.19.1", "npm": "true"}, "here is v18.19.1"),
        ({"node": "exit 1", "npm": "true"}, "it is missing"),
    ],
)
def test_without_nodejs_it_is_one_sentence_before_anything_is_built(
    without_programs: Callable[..., None], scripts: dict[str, str], reason: str
) -> None:
    without_programs(**scripts)
    with pytest.raises(StackError) as caught:
        stack.up(database=True, on_progress=lambda line: None)
    assert str(caught.value) == (
        f"The gateway's database needs Node.js 20 or newer with npm, and {reason}: install it, or leave the database "
        "out with --no-database."
    )


@pytest.fixture
def node_folder() -> Path:
    """The npm packages of the environment that the stack has."""
    for name in ("litellm", "prisma"):
        environments.ensure(servers.environment(name), lambda line: None)
    return servers.environment("prisma").folder / "node"


@pytest.fixture
def unbuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerEnvironment:
    """The client's environment in an empty cache."""
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    return servers.environment("prisma")


def test_without_npms_registry_it_is_one_sentence(
    unbuilt: ServerEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(StackError) as caught:
        environments.ensure(unbuilt, lambda line: None)
    assert str(caught.value) == (
        "The database client environment cannot be built without the npm registry, which cannot be reached "
        "(ECONNREFUSED); it is needed for the first run only."
    )
    assert not unbuilt.folder.exists()


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (
            "echo npm error code ENOSPC >&2; exit 228",
            "There is not enough disk space for the database client environment",
        ),
        ("echo npm error code EINTEGRITY >&2; exit 1", "cannot be built: npm failed (npm error code EINTEGRITY)."),
    ],
)
def test_another_failure_of_npm_is_one_sentence(
    unbuilt: ServerEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, sentence: str
) -> None:
    (tmp_path / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StackError) as caught:
        environments.ensure(unbuilt, lambda line: None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not unbuilt.folder.exists()


class EngineHost:
    """Prisma's host: every engine is this program, after a pause."""

    def __init__(self, program: bytes, pause_s: float = 0) -> None:
        self.asked: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                time.sleep(pause_s)
                packed = gzip.compress(program)
                is_digest = self.path.endswith(".sha256")
                of_what = packed if self.path.endswith(".gz.sha256") else program
                body = hashlib.sha256(of_what).hexdigest().encode() + b"  engine\n" if is_digest else packed
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineHost]:
    """Prisma's host, at the address that Prisma's own variable names."""
    running = EngineHost(*request.param)
    monkeypatch.setenv("HOME", str(tmp_path))  # where Prisma keeps what it has downloaded
    monkeypatch.setenv("PRISMA_ENGINES_MIRROR", running.url)
    yield running
    running.close()


@pytest.fixture
def installed(node_folder: Path, unbuilt: ServerEnvironment) -> ServerEnvironment:
    """An environment whose build has come to the engines; its npm packages are links to those of the stack's."""
    skip = shutil.ignore_patterns("programs")
    shutil.copytree(node_folder, unbuilt.folder / "node", copy_function=os.link, symlinks=True, ignore=skip)
    return unbuilt


def add_programs(environment: ServerEnvironment) -> None:
    prisma._write_programs(environment, prisma._download_native_engines(environment))


@pytest.mark.parametrize("host", [(ENGINE,)], indirect=True)
def test_native_engines_are_taken_where_their_host_can_be_reached(
    installed: ServerEnvironment, host: EngineHost
) -> None:
    add_programs(installed)

    assert any("query-engine" in path for path in host.asked)
    assert prisma.engines(installed) == "native"
    for name in ("query-engine", "schema-engine"):
        program = prisma.settings(installed)[f"PRISMA_{name.split('-')[0].upper()}_ENGINE_BINARY"]
        assert subprocess.run([program, "--version"], capture_output=True, check=True).stdout == b"engine of a test\n"
    command = [prisma.programs(installed) / "prisma", "--version"]
    settings = {**os.environ, **prisma.settings(installed)}
    shown = subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout
    assert "5.17.0" in shown, "the command is the one of the native engines"


@pytest.mark.parametrize("host", [(FOREIGN,)], indirect=True)
def test_native_engines_that_do_not_run_here_are_not_taken(installed: ServerEnvironment, host: EngineHost) -> None:
    add_programs(installed)

    assert any("query-engine" in path for path in host.asked)
    assert prisma.engines(installed) == "WebAssembly"


@pytest.mark.parametrize("host", [(ENGINE, 30)], indirect=True)
def test_a_host_that_hangs_is_left_after_a_short_time(
    installed: ServerEnvironment, host: EngineHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prisma, "_DOWNLOAD_TIMEOUT_S", 2.0)
    add_programs(installed)

    assert host.asked
    assert prisma.engines(installed) == "WebAssembly"


@pytest.mark.parametrize("host", [(ENGINE,)], indirect=True)
def test_without_their_host_the_engines_are_those_of_npm(installed: ServerEnvironment, host: EngineHost) -> None:
    host.close()
    add_programs(installed)

    assert prisma.engines(installed) == "WebAssembly"
    query = prisma.settings(installed)["PRISMA_QUERY_ENGINE_BINARY"]
    assert subprocess.run([query, "--version"], capture_output=True, check=True).stdout.startswith(b"query-engine ")
