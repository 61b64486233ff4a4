"""The scores of an answer: the official SQuAD ones, semantic similarity, and custom metrics.

In: predictions and references. Out: plain numbers and frozen dataclasses. Pure functions, but for the embedders of
`similarity`. The names below are loaded when they are first used, so that importing this package costs nothing.

    registry     every built-in metric, by name; what is known of each is a `MetricDefinition`
    text         checks of free answers: contains, matches, valid_json, numeric, ROUGE-L, ...
    rubrics      what judges are asked; judgement, judges and planted are their parts without calls
    squad        exact match and F1, exactly as the official v1.1 and v2.0 scripts
    similarity   semantic similarity by sentence embeddings
    explain      what explains a score: answer contained, length, refusal, question type
    base         what a metric makes of an answer: a score, or an error
    custom       functions of the user's as metrics
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qa_eval.metrics.similarity import semantic_similarity
    from qa_eval.metrics.squad import exact_match, f1, score_predictions

__all__ = ["exact_match", "f1", "score_predictions", "semantic_similarity"]

_HOME = {
    "exact_match": "qa_eval.metrics.squad",
    "f1": "qa_eval.metrics.squad",
    "score_predictions": "qa_eval.metrics.squad",
    "semantic_similarity": "qa_eval.metrics.similarity",
}


def __getattr__(name: str) -> object:
    """Load an exported name from its module (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
