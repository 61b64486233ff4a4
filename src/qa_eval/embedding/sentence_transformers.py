"""sentence-transformers (extra `similarity`, with PyTorch): texts in, unit vectors out.

For any model of that library, and as the standard that the ONNX MiniLM is measured against.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from qa_eval.embedding.modelfile import HUB_REPOSITORY, HUB_REVISION
from qa_eval.embedding.protocol import Vectors
from qa_eval.errors import InputError

_BATCH = 32  # the library's own default


class SentenceTransformersEmbedder:
    """A model of the sentence-transformers library, on the CPU.

    Args:
        model: a name on the Hugging Face hub, or a folder.
        revision: the hub's commit; all-MiniLM-L6-v2 is pinned by default. Without meaning for a folder.

    Raises:
        InputError: the library is not installed, or the model cannot be loaded.
    """

    def __init__(self, model: str = HUB_REPOSITORY, revision: str | None = None) -> None:
        try:
            library = import_module("sentence_transformers")  # a type checker need not have it
        except ImportError as error:
            raise InputError(
                "The library sentence-transformers is not installed: run `pip install 'qa-eval[similarity]'`."
            ) from error
        if revision is None and model == HUB_REPOSITORY:
            revision = HUB_REVISION
        try:
            self._model = library.SentenceTransformer(model, revision=revision, device="cpu")
        except (OSError, ValueError) as error:
            raise InputError(
                f"The model {model} cannot be loaded: give a folder, or a name on the Hugging Face hub while online."
            ) from error
        self.name = f"sentence-transformers/{_identity(model, revision)}"
        self.dimensions = int(self._model.encode(["one"], show_progress_bar=False).shape[1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, in the order of the texts."""
        if not texts:
            return np.empty((0, self.dimensions), np.float32)
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32)


def _identity(model: str, revision: str | None) -> str:
    """The model's name with its commit, or with the start of its weights' SHA-256 where it is a folder."""
    folder = Path(model)
    if not folder.is_dir():
        return f"{model}@{revision or 'main'}"
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return f"{folder.name}@{digest.hexdigest()[:8]}"
