"""Answers in, scores out: Exact Match and F1 by the official definitions, and semantic similarity, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qa_eval.data.examples import SquadVersion
from qa_eval.experiment.journal import Entry, Scores
from qa_eval.gateway.reply import Reply
from qa_eval.metrics import exact_match, f1

Similarity = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[float]]
"""Predictions and their references in, one score each out."""

_FAILED = Scores(0.0, 0.0, 0.0)


def score_squad(entry: Entry, version: SquadVersion) -> tuple[float, float]:
    """Exact Match and F1 of one answer, 0 where there is none."""
    if not entry.reply.outcome.is_answer:
        return 0.0, 0.0
    text, references = prediction(entry.reply), entry.example.references
    return exact_match(text, references, version), f1(text, references, version)


def score(entries: Sequence[Entry], version: SquadVersion, similarity: Similarity) -> list[Scores]:
    """All scores of some answers. A failure scores 0: it is counted, never scored as if it were an answer."""
    answered = [entry for entry in entries if entry.reply.outcome.is_answer]
    # An unanswerable question has no references; the official v2.0 script compares with the empty answer.
    similar = iter(
        similarity(
            [prediction(entry.reply) for entry in answered],
            [entry.example.references or ("",) for entry in answered],
        )
        if answered
        else ()
    )
    return [
        Scores(*score_squad(entry, version), next(similar)) if entry.reply.outcome.is_answer else _FAILED
        for entry in entries
    ]


def prediction(reply: Reply) -> str:
    """The text that is scored."""
    return reply.text
