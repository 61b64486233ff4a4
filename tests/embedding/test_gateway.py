"""The gateway's embedding model, against a server on loopback that speaks OpenAI's `/v1/embeddings`."""

from __future__ import annotations

import json
import socket
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import numpy as np
import pytest

from qa_eval.embedding.gateway import GatewayEmbedder
from qa_eval.errors import GatewayError

KEY = "a-key-for-this-test"


class Gateway(BaseHTTPRequestHandler):
    """Answers a number with the vector (1, the number, 0, 0, 0), the last text's vector first."""

    status = 200
    body: ClassVar[bytes | None] = None
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(request)
        data = [
            {"object": "embedding", "index": index, "embedding": [1, int(text) if text.isdigit() else 0, 0, 0, 0]}
            for index, text in enumerate(request["input"])
        ]
        answer = json.dumps({"object": "list", "model": "titan-v2", "data": data[::-1]}).encode()
        allowed = self.headers["Authorization"] == f"Bearer {KEY}" and self.path == "/v1/embeddings"
        self.send_response(self.status if allowed else 401)
        self.end_headers()
        self.wfile.write(answer if self.body is None else self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(serve, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in (("status", 200), ("body", None), ("asked", [])):
        monkeypatch.setattr(Gateway, name, value)
    return serve(Gateway)


def test_vectors_are_unit_and_in_the_order_of_the_texts(url: str) -> None:
    numbers = list(range(70))
    vectors = GatewayEmbedder(url, KEY).embed([str(number) for number in numbers])
    assert vectors.shape == (70, 5)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(70))
    assert vectors[:, 1] / vectors[:, 0] == pytest.approx(np.array(numbers))


def test_texts_go_in_bounded_requests(url: str) -> None:
    texts = [str(number) for number in range(70)]
    GatewayEmbedder(url, KEY).embed(texts)
    inputs = [request["input"] for request in Gateway.asked]
    assert [text for texts in inputs for text in texts if text.isdigit()] == texts
    assert max(map(len, inputs)) == 32


def test_its_name_says_gateway_model_group_and_the_model_that_answers(url: str) -> None:
    embedder = GatewayEmbedder(url + "/", KEY, model="titan-embed")
    assert embedder.name == f"titan-embed/titan-v2/5@{url}"
    assert embedder.dimensions == 5
    assert len(Gateway.asked) == 1
    assert Gateway.asked[0]["model"] == "titan-embed"


def test_no_texts_give_no_rows(url: str) -> None:
    assert GatewayEmbedder(url, KEY).embed([]).shape == (0, 5)


def test_a_wrong_key_is_said_without_showing_it(url: str) -> None:
    with pytest.raises(GatewayError, match="refuses the key") as caught:
        GatewayEmbedder(url, "wrong-key").embed(["gold"])
    assert "wrong-key" not in str(caught.value)


def test_a_refusal_is_not_tried_again_and_says_why(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "status", 400)
    monkeypatch.setattr(Gateway, "body", b'{"error": {"message": "Invalid\\nmodel name"}}')
    with pytest.raises(GatewayError, match=r"no embeddings of titan-embed \(status 400: .*Invalid.*\)\.$"):
        GatewayEmbedder(url, KEY).embed(["gold"])
    assert len(Gateway.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>a login page</html>",
        b'{"choices": []}',
        b'{"model": "m", "data": []}',
        b'{"model": "m", "data": [{"index": 0, "embedding": []}]}',
        b'{"model": "m", "data": [{"index": 0, "embedding": [0, 0]}]}',
        b'{"model": "m", "data": [{"index": 0, "embedding": [1e400, 0]}]}',
        b'{"model": "m", "data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]}',
    ],
)
def test_an_answer_without_embeddings_is_an_error(url: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gateway, "body", body)
    with pytest.raises(GatewayError, match="does not answer with embeddings"):
        GatewayEmbedder(url, KEY).embed(["gold"])


def test_a_gateway_that_is_not_there_is_said() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(GatewayError, match=f"{url} cannot be reached"):
            GatewayEmbedder(url, KEY).embed(["gold"])
