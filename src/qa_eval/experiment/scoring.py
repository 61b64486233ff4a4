"""Answers in, scores out: Exact Match and F1 by the official definitions, and semantic similarity, in batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qa_eval.data.examples import SquadVersion
from qa_eval.embedding import Embedder
from qa_eval.embedding.modelfile import PACKAGED_NAME
from qa_eval.experiment.journal_file import Entry, Scores
from qa_eval.metrics import exact_match, f1
from qa_eval.metrics.custom import Metric, OwnScore, measure

Similarity = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[float]]
"""Predictions and their references in, one score each out."""

_FAILED = Scores(0.0, 0.0, 0.0)
EMBEDDERS = ("minilm", "gateway", "sentence-transformers")


@dataclass(frozen=True)
class SimilarityScorer:
    """Semantic similarity by one embedder."""

    embedder: str
    """The embedder's name: its model and file."""
    score: Similarity

    @property
    def evaluation(self) -> str:
        """What Phoenix calls the score: scores of different embedders never share a column."""
        return "semantic_similarity" if self.embedder == PACKAGED_NAME else f"semantic_similarity ({self.embedder})"


def load_similarity(choice: str, gateway_url: str, gateway_key: str | None) -> SimilarityScorer:
    """The similarity by the chosen embedder, with its vectors kept on the disk.

    Args:
        choice: `minilm`, `gateway` (its `titan-embed`) or `sentence-transformers`.
        gateway_url: The gateway of the run.
        gateway_key: Its key.

    Raises:
        QaEvalError: The embedder cannot be had here; the message says what to do.
    """
    from qa_eval.embedding import CachedEmbedder
    from qa_eval.metrics.similarity import semantic_similarity

    embedder = CachedEmbedder(_embedder(choice, gateway_url, gateway_key))
    return SimilarityScorer(embedder.name, lambda texts, references: semantic_similarity(texts, references, embedder))


def _embedder(choice: str, gateway_url: str, gateway_key: str | None) -> Embedder:
    if choice == "gateway":
        from qa_eval.embedding.gateway import GatewayEmbedder

        return GatewayEmbedder(gateway_url, gateway_key or "none")
    if choice == "sentence-transformers":
        from qa_eval.embedding.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder()
    from qa_eval.embedding import default_embedder

    return default_embedder()


def score_squad(entry: Entry, version: SquadVersion) -> tuple[float, float]:
    """Exact Match and F1 of one answer, 0 where there is none."""
    if not entry.reply.outcome.is_answer:
        return 0.0, 0.0
    text, references = entry.reply.text, entry.example.references
    return exact_match(text, references, version), f1(text, references, version)


def score(entries: Sequence[Entry], version: SquadVersion, similarity: Similarity) -> list[Scores]:
    """All scores of some answers. A failure scores 0: it is counted, never scored as if it were an answer."""
    answered = [entry for entry in entries if entry.reply.outcome.is_answer]
    # An unanswerable question has no references; the official v2.0 script compares with the empty answer.
    similar = iter(
        similarity(
            [entry.reply.text for entry in answered],
            [entry.example.references or ("",) for entry in answered],
        )
        if answered
        else ()
    )
    return [
        Scores(*score_squad(entry, version), next(similar)) if entry.reply.outcome.is_answer else _FAILED
        for entry in entries
    ]


async def score_own(entries: Sequence[Entry], metrics: Mapping[str, Metric]) -> list[tuple[OwnScore, ...]]:
    """What own metrics say of some answers; nothing of a question without an answer."""
    answered = [entry for entry in entries if entry.reply.outcome.is_answer]
    own = iter(await measure(metrics, [(entry.example, entry.reply.text) for entry in answered]))
    return [next(own) if entry.reply.outcome.is_answer else () for entry in entries]
