"""What every embedder is: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

_Float = TypeVar("_Float", np.float32, np.float64)

Vectors = NDArray[np.float32]
"""Shape (texts, dimensions), every row of Euclidean length 1, so that a dot product is a cosine."""


class Embedder(Protocol):
    """Turns texts into vectors whose cosine says how near the texts are in meaning."""

    @property
    def name(self) -> str:
        """Which model, and which file of it, made the vectors: those of different names are not comparable."""

    @property
    def dimensions(self) -> int:
        """The length of a vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, in the order of the texts."""


def unit(vectors: NDArray[_Float]) -> NDArray[_Float]:
    """The rows scaled to length 1."""
    scaled: NDArray[_Float] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled
