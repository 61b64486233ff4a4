"""Semantic similarity: predictions and their references in, the best cosine of their embeddings out.

It says how near a prediction is in meaning, not whether it is right: "1995" and "1996" score 0.84, "yes" and "no"
0.73. Read it beside Exact Match and F1, never alone. Scores of different embedders are not comparable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from qa_eval.embedding import CachedEmbedder, Embedder, Vectors, default_embedder
from qa_eval.errors import InputError

_PAIRS_PER_STEP = 2_048  # bounds the memory, about 30 MB, whatever the number of examples
_BELOW_ONE = math.nextafter(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Pair:
    example: int
    prediction: str
    reference: str


def semantic_similarity(
    predictions: Sequence[str], references: Sequence[Sequence[str]], embedder: Embedder | None = None
) -> list[float]:
    """The cosine between each prediction and the nearest of its references.

    The cosine is clipped to 0..1. It is 1.0 where the texts are identical or their vectors are equal in every bit,
    and below 1.0 for all others, however near. Blank texts have no meaning to embed: two are 1.0 alike, one and a
    text that is not blank 0.0. No references at all (a question without an answer, SQuAD v2.0) are one blank one.

    Args:
        predictions: n texts.
        references: n lists of accepted texts.
        embedder: makes the vectors; by default the ONNX MiniLM, with its cache on disk.

    Returns:
        n scores in 0..1, in the order of the predictions.

    Raises:
        InputError: there are not as many lists of references as predictions, a text stands where a list should, or
            there is no embedding model.
    """
    _check(predictions, references)
    accepted = [tuple(texts) or ("",) for texts in references]
    scores = [_by_rule(*texts) for texts in zip(predictions, accepted, strict=True)]
    pairs = [
        _Pair(example, prediction, reference)
        for example, prediction in enumerate(predictions)
        if scores[example] < 1.0 and not _is_blank(prediction)
        for reference in dict.fromkeys(accepted[example])
        if not _is_blank(reference)
    ]
    if pairs:
        for pair, cosine in zip(pairs, _cosines(pairs, embedder or _default()), strict=True):
            scores[pair.example] = max(scores[pair.example], cosine)
    return scores


def _check(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(predictions) != len(references):
        raise InputError(
            f"Semantic similarity got {len(predictions)} predictions and {len(references)} lists of references: "
            "give one list for each prediction."
        )
    if any(isinstance(texts, str) for texts in references):
        raise InputError("References are a list of texts, and one text was given: put it in a list.")


def _by_rule(prediction: str, references: Sequence[str]) -> float:
    """What is known without a model: 1.0 for identical texts and two blank ones, else 0.0 so far."""
    if prediction in references:
        return 1.0
    return float(_is_blank(prediction) and any(map(_is_blank, references)))


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


@cache
def _default() -> Embedder:
    return CachedEmbedder(default_embedder())


def _cosines(pairs: Sequence[_Pair], embedder: Embedder) -> Iterator[float]:
    """A cosine for each pair, step by step; a text is embedded once and its vector kept until its last use."""
    last_use = {text: step for step, pair in enumerate(pairs) for text in (pair.prediction, pair.reference)}
    vectors: dict[str, Vectors] = {}
    for start in range(0, len(pairs), _PAIRS_PER_STEP):
        part = pairs[start : start + _PAIRS_PER_STEP]
        texts = dict.fromkeys(text for pair in part for text in (pair.prediction, pair.reference))
        new = [text for text in texts if text not in vectors]
        if new:
            # Copies: a row that is a view would keep the whole step's array alive.
            vectors.update(zip(new, map(np.copy, embedder.embed(new)), strict=True))
        yield from _clipped(
            np.stack([vectors[pair.prediction] for pair in part]), np.stack([vectors[pair.reference] for pair in part])
        )
        vectors = {text: vector for text, vector in vectors.items() if last_use[text] >= start + len(part)}


def _clipped(left: Vectors, right: Vectors) -> list[float]:
    """The cosines of two rows of unit vectors each, in 0..1, and 1.0 only where the two rows are equal."""
    products: NDArray[np.float64] = left.astype(np.float64) * right
    # Float32 vectors are of length 1 but for rounding: near ones can have a product of 1, or a little more.
    cosines = np.clip(products.sum(axis=1), 0.0, _BELOW_ONE)
    cosines[(left == right).all(axis=1)] = 1.0
    scores: list[float] = cosines.tolist()
    return scores
