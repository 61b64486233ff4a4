"""Tags become digests, asked of a registry that behaves as the distribution specification says."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qa_eval.deployment.images import pin
from qa_eval.errors import DeploymentError


def platform(architecture: str, os: str = "linux") -> dict[str, Any]:
    return {"platform": {"os": os, "architecture": architecture}}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


CONFIG = json.dumps({"os": "linux", "architecture": "arm64", "config": {}}).encode()
BOTH = json.dumps({"manifests": [platform("amd64"), platform("arm64"), platform("unknown", "unknown")]}).encode()
WINDOWS = json.dumps({"manifests": [platform("amd64", "windows"), platform("arm64"), {"digest": "x"}]}).encode()
SINGLE = json.dumps({"config": {"digest": digest(CONFIG)}, "layers": []}).encode()
CONTENT = {
    "/v2/org/server/manifests/both": BOTH,
    "/v2/org/server/manifests/windows": WINDOWS,
    "/v2/org/server/manifests/single": SINGLE,
    "/v2/org/server/manifests/page": b"<html>",
    f"/v2/org/server/blobs/{digest(CONFIG)}": CONFIG,
}


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry with one repository, which wants a token even from an anonymous caller."""

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/token"):
                asked = self.path == "/token?service=a+registry&scope=repository%3Aorg%2Fserver%3Apull"
                self.answer(200 if asked else 400, json.dumps({"token": "anonymous"}).encode())
            elif self.headers.get("Authorization") != "Bearer anonymous":
                self.answer(401, b"{}")
            else:
                assert "oci.image.index" in self.headers["Accept"], "the index, not one processor's image"
                content = CONTENT.get(self.path)
                self.answer(404 if content is None else 200, content or b'{"errors": []}')

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            if status == 401:
                realm = f'Bearer realm="http://{self.headers["Host"]}/token"'
                self.send_header("WWW-Authenticate", f'{realm},service="a registry",scope="repository:org/server:pull"')
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_a_tag_becomes_the_digest_that_it_has_now(registry: str, architecture: str) -> None:
    assert pin(f"{registry}/org/server:both", architecture) == f"{registry}/org/server@{digest(BOTH)}"


def test_a_single_manifest_has_its_platform_in_its_configuration(registry: str) -> None:
    assert pin(f"{registry}/org/server:single", "arm64") == f"{registry}/org/server@{digest(SINGLE)}"


@pytest.mark.parametrize(("tag", "others"), [("windows", "windows/amd64, linux/arm64"), ("single", "linux/arm64")])
def test_an_image_without_the_platform_is_refused(registry: str, tag: str, others: str) -> None:
    with pytest.raises(DeploymentError, match=f"has no image for linux/amd64, only for {others}: set `architecture`"):
        pin(f"{registry}/org/server:{tag}", "x86_64")


def test_a_digest_stays_and_nobody_is_asked() -> None:
    image = f"nowhere.invalid/org/server@{digest(BOTH)}"
    assert pin(image, "x86_64") == image


@pytest.mark.parametrize(("tag", "status"), [("v9", 404), ("page", 200)])
def test_a_tag_that_is_not_there_is_named(registry: str, tag: str, status: int) -> None:
    with pytest.raises(DeploymentError, match=rf"has no image org/server:{tag} \(HTTP {status}\): check the tag"):
        pin(f"{registry}/org/server:{tag}", "x86_64")


def test_a_registry_that_is_not_there_is_named() -> None:
    with pytest.raises(DeploymentError, match=r"cannot be reached"):
        pin("127.0.0.1:9/org/server:v1", "x86_64")
