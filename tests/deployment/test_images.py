"""Tags become digests, asked of a registry that behaves as the distribution specification says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qa_eval.deployment.images import pin
from qa_eval.errors import DeploymentError

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry with one image, which wants a token even from an anonymous caller."""

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = "/token?service=a+registry&scope=repository%3Aorg%2Fserver%3Apull"
            self.send_response(200 if self.path == wanted else 400)
            self.end_headers()
            self.wfile.write(json.dumps({"token": "anonymous"}).encode())

        def do_HEAD(self) -> None:
            status = self.status()
            self.send_response(status)
            if status == 401:
                realm = f'Bearer realm="http://{self.headers["Host"]}/token"'
                self.send_header("WWW-Authenticate", f'{realm},service="a registry",scope="repository:org/server:pull"')
            if status == 200:
                self.send_header("Docker-Content-Digest", DIGEST)
            self.end_headers()

        def status(self) -> int:
            if self.headers.get("Authorization") != "Bearer anonymous":
                return 401
            assert "oci.image.index" in self.headers["Accept"], "the index, not one processor's image"
            return 200 if self.path == "/v2/org/server/manifests/v1.2" else 404

        def log_message(self, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_tag_becomes_the_digest_that_it_has_now(registry: str) -> None:
    assert pin(f"{registry}/org/server:v1.2") == f"{registry}/org/server@{DIGEST}"


def test_a_digest_stays_and_nobody_is_asked() -> None:
    assert pin(f"nowhere.invalid/org/server@{DIGEST}") == f"nowhere.invalid/org/server@{DIGEST}"


def test_a_tag_that_is_not_there_is_named(registry: str) -> None:
    with pytest.raises(DeploymentError, match=r"has no image org/server:v9 \(HTTP 404\): check the tag"):
        pin(f"{registry}/org/server:v9")


def test_a_registry_that_is_not_there_is_named() -> None:
    with pytest.raises(DeploymentError, match=r"cannot be reached"):
        pin("127.0.0.1:9/org/server:v1")
