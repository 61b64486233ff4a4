"""What the engine sees of the workers: a target, a client, a metric and an embedder like any other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from qa_eval.data.examples import Example
from qa_eval.distributed.pool import Pool, WorkerDied
from qa_eval.embedding import Vectors
from qa_eval.errors import ClusterError
from qa_eval.metrics.base import Score
from qa_eval.targets.base import Attempt
from qa_eval.targets.completion import ReadText, content_of
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.tracing.context import TraceContext, current

_TEXTS_PER_JOB = 256


@dataclass(frozen=True)
class RemoteTarget:
    """A system that workers ask; a `Target`."""

    pool: Pool
    system: str

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`. Latency and start are the worker's: what Ray takes is not the target's."""
        return await _attempt(self.pool, "answer", self.system, example, trace)


@dataclass(frozen=True)
class RemoteClient:
    """The gateway, asked by workers."""

    pool: Pool

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        parameters: Mapping[str, Any],
        trace: TraceContext | None = None,
        read: ReadText = content_of,
    ) -> Attempt:
        """See `GatewayClient.complete`."""
        return await _attempt(self.pool, "complete", model, messages, parameters, trace, read)


@dataclass(frozen=True)
class RemoteMetric:
    """An own metric that workers compute; a `Metric`."""

    pool: Pool
    name: str

    async def __call__(self, example: Example, answer: str) -> Score:
        try:
            score: Score = await self.pool.call("measure", self.name, example, answer, current())
        except WorkerDied as died:
            return Score(None, error=str(died))
        return score


class RemoteEmbedder:
    """An embedding model that workers have; an `Embedder`, to be used in threads beside the event loop."""

    def __init__(self, pool: Pool, name: str, dimensions: int) -> None:
        self.name, self.dimensions = name, dimensions
        self._pool = pool
        self._loop = asyncio.get_running_loop()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        return asyncio.run_coroutine_threadsafe(self._embed(texts), self._loop).result()

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        # Texts of a length share batches in the model.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        parts = [order[start : start + _TEXTS_PER_JOB] for start in range(0, len(order), _TEXTS_PER_JOB)]
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        try:
            found = await asyncio.gather(
                *(self._pool.call("embed", [texts[place] for place in part]) for part in parts)
            )
        except WorkerDied as died:
            raise ClusterError(f"The embeddings cannot be computed ({died}): give `ray.embed` more memory.") from None
        for part, rows in zip(parts, found, strict=True):
            vectors[part] = rows
        return vectors


async def _attempt(pool: Pool, method: str, *arguments: Any) -> Attempt:
    started_at, start = datetime.now(UTC), time.perf_counter()
    try:
        attempt: Attempt = await pool.call(method, *arguments)
    except WorkerDied as died:
        reply = Reply(Outcome.TASK_ERROR, "", started_at, time.perf_counter() - start, message=str(died))
        return Attempt(reply)
    return attempt
