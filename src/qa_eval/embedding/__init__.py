"""Sentence embeddings: texts in, unit vectors out.

    protocol               what every embedder is
    minilm                 the default: all-MiniLM-L6-v2 in ONNX form, without PyTorch
    modelfile              where its file comes from: a package, or the Hugging Face hub
    cache                  any embedder, with its vectors kept on disk
    gateway                the embedding model behind a LiteLLM gateway (import it from its module)
    sentence_transformers  all-MiniLM-L6-v2 as its authors run it, extra `similarity` (import it from its module)

Vectors of different embedders live in different spaces and are never compared; each embedder's `name` says which
space it is.
"""

from qa_eval.embedding.cache import CachedEmbedder
from qa_eval.embedding.minilm import MiniLM, default_embedder
from qa_eval.embedding.protocol import Embedder, Vectors

__all__ = ["CachedEmbedder", "Embedder", "MiniLM", "Vectors", "default_embedder"]
