"""Answers in, scores out, in batches: Exact Match and F1 by the official definitions, similarity, custom metrics.

A question without an answer scores 0 in the metrics that compare with references: it is counted, never scored as if
it were an answer. An example without references has no such score.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from qa_eval.data.examples import Dataset
from qa_eval.embedding import Embedder
from qa_eval.embedding.modelfile import PACKAGED_NAME
from qa_eval.experiment.answers import Answer
from qa_eval.metrics import exact_match, f1
from qa_eval.metrics.base import Metric, Score
from qa_eval.metrics.custom import measure

SIMILARITY = "semantic_similarity"
_SQUAD = {"exact_match": exact_match, "f1": f1}

Similarity = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[float]]
"""Predictions and their references in, one score each out."""


@dataclass(frozen=True)
class SimilarityScorer:
    """Semantic similarity by one embedding model."""

    embedder: str
    """The model's full name: model and file."""
    score: Similarity


def similarity_evaluation(embedder: str) -> str:
    """The score's name in Phoenix: scores of different embedding models never share a column."""
    return SIMILARITY if embedder == PACKAGED_NAME else f"{SIMILARITY} ({embedder})"


def load_similarity(choice: str, gateway_url: str, gateway_key: str | None) -> SimilarityScorer:
    """The similarity by the chosen embedding model, with its vectors cached on disk.

    Args:
        choice: `minilm`, `gateway` (its `titan-embed`) or `sentence-transformers`.
        gateway_url: The gateway of the run.
        gateway_key: Its key.

    Raises:
        QaEvalError: The model is not available here; the message says what to do.
    """
    from qa_eval.embedding import CachedEmbedder
    from qa_eval.metrics.similarity import semantic_similarity

    embedder = CachedEmbedder(_embedder(choice, gateway_url, gateway_key))

    def score(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Sequence[float]:
        return semantic_similarity(texts, references, embedder)

    return SimilarityScorer(embedder.name, score)


def _embedder(choice: str, gateway_url: str, gateway_key: str | None) -> Embedder:
    if choice == "gateway":
        from qa_eval.embedding.gateway import GatewayEmbedder

        return GatewayEmbedder(gateway_url, gateway_key or "none")
    if choice == "sentence-transformers":
        from qa_eval.embedding.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder()
    from qa_eval.embedding import default_embedder

    return default_embedder()


@dataclass(frozen=True)
class Scorer:
    """Scores answers by the metrics of a run, in their order."""

    dataset: Dataset
    metrics: Sequence[str]
    """All metrics by name."""
    similarity: Similarity | None = None
    custom: Mapping[str, Metric] = field(default_factory=dict)

    async def score(self, answers: Sequence[Answer]) -> list[Answer]:
        """The same answers with their scores."""
        by_reference = await asyncio.to_thread(self._by_reference, answers)
        custom = await self._by_custom_metrics(answers)
        return [
            replace(answer, scores=self._in_order((*built_in, *own)))
            for answer, built_in, own in zip(answers, by_reference, custom, strict=True)
        ]

    def _in_order(self, scores: Sequence[Score]) -> tuple[Score, ...]:
        return tuple(sorted(scores, key=lambda score: self.metrics.index(score.name)))

    def _by_reference(self, answers: Sequence[Answer]) -> list[tuple[Score, ...]]:
        """The scores that compare with references; none for an example that has none."""
        similar = iter(self._similarities(answers))
        scores: list[tuple[Score, ...]] = []
        for answer in answers:
            if not self.dataset.has_references(answer.example):
                scores.append(())
            elif not answer.reply.outcome.is_answer:
                scores.append(tuple(_failed(name, answer) for name in (*_SQUAD, SIMILARITY) if name in self.metrics))
            else:
                squad = (self._squad(name, answer) for name in _SQUAD if name in self.metrics)
                more = (Score(next(similar), name=SIMILARITY),) if SIMILARITY in self.metrics else ()
                scores.append((*squad, *more))
        return scores

    def _squad(self, name: str, answer: Answer) -> Score:
        value = _SQUAD[name](answer.reply.text, answer.example.references, self.dataset.version)
        return Score(value, name=name)

    def _similarities(self, answers: Sequence[Answer]) -> Sequence[float]:
        compared = [a for a in answers if a.reply.outcome.is_answer and self.dataset.has_references(a.example)]
        if self.similarity is None or not compared:
            return ()
        # An unanswerable question has no references; the official v2.0 script compares with the empty answer.
        return self.similarity(
            [answer.reply.text for answer in compared], [answer.example.references or ("",) for answer in compared]
        )

    async def _by_custom_metrics(self, answers: Sequence[Answer]) -> list[tuple[Score, ...]]:
        answered = [answer for answer in answers if answer.reply.outcome.is_answer]
        scores = iter(
            await measure(self.custom, [(answer.example, answer.reply.text, answer.trace) for answer in answered])
        )
        return [next(scores) if answer.reply.outcome.is_answer else () for answer in answers]


def _failed(name: str, answer: Answer) -> Score:
    reply = answer.reply
    return Score(0.0, label=str(reply.outcome), explanation=reply.message or None, name=name)
