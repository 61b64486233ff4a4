"""InvokeModel for Titan text embeddings, with all-MiniLM-L6-v2 as a substitute.

Its 384 values are padded with zeros to the requested dimensions, which preserves every cosine; for fewer dimensions the
vector is truncated and normalized, which only approximates it. Token counts are estimates.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_eval.stack.bedrock.replay import estimate_tokens

PREFIX: Final = "amazon.titan-embed-text-"
_V1_DIMENSIONS: Final = 1536


class EmbeddingRequest(BaseModel):
    """The body of an embedding request. Version 1 has only `inputText`, and 1,536 dimensions."""

    model_config = ConfigDict(extra="forbid")

    inputText: str = Field(min_length=1)
    dimensions: Literal[256, 512, 1024] = 1024
    normalize: bool = True
    """Accepted, but every vector has unit length."""
    embeddingTypes: list[Literal["float"]] = ["float"]


async def embed(model: str, request: EmbeddingRequest) -> dict[str, Any]:
    """The response body for one text, computed in a thread."""
    dimensions = _V1_DIMENSIONS if model.startswith(f"{PREFIX}v1") else request.dimensions
    embedding = await asyncio.to_thread(_embed, request.inputText, dimensions)
    body = {"embedding": embedding, "inputTextTokenCount": estimate_tokens(request.inputText)}
    return body if dimensions == _V1_DIMENSIONS else {**body, "embeddingsByType": {"float": embedding}}


def _embed(text: str, dimensions: int) -> list[float]:
    # Imported with the first embedding: most uses of the local Bedrock need none.
    import numpy as np

    from qa_eval.embedding import default_embedder

    vector = default_embedder().embed([text])[0][:dimensions]
    sized = np.zeros(dimensions)
    sized[: len(vector)] = vector / np.linalg.norm(vector)
    values: list[float] = sized.tolist()
    return values
