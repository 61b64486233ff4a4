"""Virtual keys: made once, changed later, never shown. Secrets Manager and the gateway are stood in for."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qa_eval.deployment import keys
from qa_eval.deployment.keys import VirtualKey, provide
from qa_eval.errors import DeploymentError
from qa_eval.stack import servers

MASTER = "the-master-key"

_ASK_LITELLM = """
import json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from fastapi import HTTPException
from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.auth.route_checks import RouteChecks

def opens(route):
    try:
        return RouteChecks.is_virtual_key_allowed_to_call_route(route=route, valid_token=key)
    except HTTPException:
        return False

allowed, routes = json.loads(sys.argv[1])
key = UserAPIKeyAuth(api_key="sk-any", allowed_routes=allowed)
print(json.dumps([opens(route) for route in routes]))
"""


class Gateway:
    """LiteLLM's two key pages: a key that is not there cannot be changed."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.refuses = False
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.headers["Authorization"] == f"Bearer {MASTER}"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(gateway.take(self.path, body))
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, path: str, body: dict[str, Any]) -> int:
        if self.refuses or (path == "/key/update" and body["key"] not in self.known):
            return 404
        assert path in ("/key/update", "/key/generate")
        assert body["key"].startswith("sk-")
        self.known[body["key"]] = {**self.known.get(body["key"], {}), **body}
        return 200


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    made = Gateway()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Secrets Manager, with what it generated itself."""
    kept = {"arn:experiments": "A" * 43, "arn:chatbot": "B" * 43}

    class Client:
        def put_secret_value(self, SecretId: str, SecretString: str) -> None:
            kept[SecretId] = SecretString

    monkeypatch.setattr(keys, "read_secret", lambda secret, region: kept[secret])
    monkeypatch.setattr(keys, "client", lambda service, region: Client())
    return kept


def wanted(budget: float = 20) -> list[VirtualKey]:
    return [
        VirtualKey("qa-experiments", "arn:experiments", ("qa", "claude-haiku"), 100),
        VirtualKey("qa-chatbot", "arn:chatbot", ("qa",), budget),
    ]


def test_each_key_is_kept_and_known_with_its_limits(gateway: Gateway, vault: dict[str, str]) -> None:
    provide(gateway.url, MASTER, wanted())
    assert gateway.known.keys() == set(vault.values())
    chatbot = gateway.known[vault["arn:chatbot"]]
    assert (chatbot["models"], chatbot["max_budget"], chatbot["budget_duration"]) == (["qa"], 20, "30d")
    assert MASTER not in vault.values()


@pytest.mark.usefixtures("stack")  # LiteLLM's environment
def test_a_key_opens_the_guarded_routes_and_no_other_by_litellms_own_rule(
    gateway: Gateway, vault: dict[str, str]
) -> None:
    provide(gateway.url, MASTER, wanted())
    allowed = gateway.known[vault["arn:chatbot"]]["allowed_routes"]
    routes = [
        *("/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/models", "/model/info"),
        *("/v1/completions", "/v1/responses", "/v1beta/interactions", "/bedrock/model/x/invoke", "/key/generate"),
    ]
    python = servers.environment("litellm").python
    done = subprocess.run(
        [python, "-c", _ASK_LITELLM, json.dumps([allowed, routes])], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [True] * 5 + [False] * 5


def test_again_it_changes_limits_and_keeps_keys(gateway: Gateway, vault: dict[str, str]) -> None:
    provide(gateway.url, MASTER, wanted())
    before = dict(vault)
    provide(gateway.url, MASTER, wanted(budget=7))
    assert vault == before
    assert len(gateway.known) == 2
    assert gateway.known[vault["arn:chatbot"]]["max_budget"] == 7


def test_a_gateway_that_refuses_is_told_without_a_key(gateway: Gateway, vault: dict[str, str]) -> None:
    gateway.refuses = True
    with pytest.raises(DeploymentError, match=r"cannot create the key qa-experiments \(HTTP 404\)") as refused:
        provide(gateway.url, MASTER, wanted())
    assert vault["arn:experiments"] not in str(refused.value)


def test_a_gateway_that_is_not_there_is_named(vault: dict[str, str]) -> None:
    with pytest.raises(DeploymentError, match=r"does not answer at http://127\.0\.0\.1:9"):
        provide("http://127.0.0.1:9", MASTER, wanted())
