"""Sentence embeddings: texts in, unit vectors out.

    protocol               what every embedder is
    minilm                 the default: all-MiniLM-L6-v2 in ONNX form, without PyTorch
    modelfile              where its file comes from: a package, or the Hugging Face hub
    cache                  any embedder, with its vectors kept on disk
    choose                 an embedder by its name in the specification
    gateway                the embedding model behind a LiteLLM gateway (import it from its module)
    sentence_transformers  all-MiniLM-L6-v2 as its authors run it, extra `similarity` (import it from its module)

Vectors of different embedders live in different spaces and are never compared; each embedder's `name` says which
space it is. The default model is loaded when first used: not every run needs its ONNX runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qa_eval.embedding.cache import CachedEmbedder
from qa_eval.embedding.protocol import Embedder, Vectors

if TYPE_CHECKING:
    from qa_eval.embedding.minilm import MiniLM, default_embedder

__all__ = ["CachedEmbedder", "Embedder", "MiniLM", "Vectors", "default_embedder"]


def __getattr__(name: str) -> Any:
    if name not in ("MiniLM", "default_embedder"):
        raise AttributeError(f"module 'qa_eval.embedding' has no attribute {name!r}")
    from qa_eval.embedding import minilm

    return getattr(minilm, name)
