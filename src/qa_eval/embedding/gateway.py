"""The embedding model behind a LiteLLM gateway, or behind any server with OpenAI's `/v1/embeddings`.

In: texts. Out: unit vectors. Every request is made once: the gateway retries, not the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import numpy as np
from pydantic import BaseModel, ValidationError

from qa_eval.embedding.protocol import Vectors, unit
from qa_eval.errors import GatewayError

_TIMEOUT_S = 120.0  # above what the gateway takes for all its own tries
_TEXTS_PER_REQUEST = 32  # LiteLLM asks Titan for one text after the other, all within the gateway's time limit


class _Item(BaseModel):
    index: int
    embedding: list[float]


class _Answer(BaseModel):
    model: str
    data: list[_Item]


@dataclass(frozen=True)
class _Probe:
    model: str
    dimensions: int


class GatewayEmbedder:
    """A gateway's embedding model, `titan-embed` by default.

    Args:
        url: the gateway's address, without `/v1`.
        key: what goes into `Authorization: Bearer`.
        model: the model group's name.

    Every use may raise `GatewayError`: the gateway is not there, refuses the key or the model, or its answer is no
    list of embeddings.
    """

    def __init__(self, url: str, key: str, model: str = "titan-embed") -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._model = model

    @property
    def name(self) -> str:
        """Gateway, model group, the model that the gateway says it is, and its dimensions.

        LiteLLM says the group's name again: it cannot be seen from here when another model of as many dimensions is
        put behind a group. Give the group a new name then.
        """
        return f"{self._model}/{self._probe.model}/{self.dimensions}@{self._url}"

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._probe.dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, in the order of the texts."""
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            for start in range(0, len(texts), _TEXTS_PER_REQUEST):
                part = list(texts[start : start + _TEXTS_PER_REQUEST])
                vectors[start : start + len(part)] = self._vectors(self._ask(client, part), len(part))
        return vectors

    @cached_property
    def _probe(self) -> _Probe:
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            answer = self._ask(client, ["probe"])
        return _Probe(answer.model, self._vectors(answer, 1).shape[1])

    def _ask(self, client: httpx.Client, texts: list[str]) -> _Answer:
        headers = {"Authorization": f"Bearer {self._key}"}
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            reply = client.post(f"{self._url}/v1/embeddings", headers=headers, json=body)
        except httpx.HTTPError as error:
            raise GatewayError(f"The gateway {self._url} cannot be reached for embeddings ({error}).") from error
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            raise GatewayError(f"The gateway {self._url} refuses the key: set QA_EVAL_GATEWAY_KEY to a valid one.")
        if not reply.is_success:
            raise GatewayError(
                f"The gateway {self._url} gives no embeddings of {self._model} "
                f"(status {reply.status_code}: {' '.join(reply.text[:200].split())})."
            )
        try:
            return _Answer.model_validate_json(reply.content)
        except ValidationError as error:
            raise self._unusable() from error

    def _vectors(self, answer: _Answer, count: int) -> Vectors:
        """The answer's vectors, scaled to length 1, in the order of the question."""
        rows = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        if len(rows) != count or len({len(row) for row in rows}) != 1:
            raise self._unusable()
        vectors = np.array(rows, np.float64)
        if not (np.isfinite(vectors).all() and vectors.any(axis=1).all()):
            raise self._unusable()
        return unit(vectors).astype(np.float32)

    def _unusable(self) -> GatewayError:
        return GatewayError(
            f"The gateway {self._url} does not answer with embeddings: check that {self._model} is an embedding model."
        )
