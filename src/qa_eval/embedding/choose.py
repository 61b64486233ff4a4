"""The embedder of a run, by its name in the specification."""

from __future__ import annotations

from qa_eval.embedding.protocol import Embedder


def find_embedder(choice: str, gateway_url: str, gateway_key: str | None) -> Embedder:
    """An embedder, without a cache.

    Args:
        choice: `minilm`, `gateway` (its `titan-embed`) or `sentence-transformers`.
        gateway_url: The gateway of the run.
        gateway_key: Its key.

    Raises:
        QaEvalError: The model is not available here; the message says what to do.
    """
    if choice == "gateway":
        from qa_eval.embedding.gateway import GatewayEmbedder

        return GatewayEmbedder(gateway_url, gateway_key or "none")
    if choice == "sentence-transformers":
        from qa_eval.embedding.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder()
    from qa_eval.embedding.minilm import default_embedder

    return default_embedder()
