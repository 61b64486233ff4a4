"""Answers in, scores out, in batches: every metric that is code. Judges follow in `qa_eval.experiment.judging`.

A question without an answer scores 0 in the metrics that compare with references: it is counted, never scored as if
it were an answer. An example that lacks what a metric needs, such as references, has no such score.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from qa_eval.data.examples import SquadVersion
from qa_eval.embedding import Embedder
from qa_eval.embedding.modelfile import PACKAGED_NAME
from qa_eval.experiment.answers import Answer
from qa_eval.metrics.base import Metric, Score
from qa_eval.metrics.custom import measure
from qa_eval.metrics.definition import MetricDefinition, Need
from qa_eval.metrics.llm_calls import LlmCaller, within_caller
from qa_eval.metrics.registry import SIMILARITY, applies, unanswered
from qa_eval.tracing.context import within

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
    """The similarity by the chosen embedding model; arguments and errors are those of `find_embedder`."""
    from qa_eval.embedding.choose import find_embedder

    return similarity_by(find_embedder(choice, gateway_url, gateway_key))


def similarity_by(embedder: Embedder) -> SimilarityScorer:
    """The similarity by an embedding model, with its vectors cached on disk."""
    from qa_eval.embedding import CachedEmbedder
    from qa_eval.metrics.similarity import semantic_similarity

    cached = CachedEmbedder(embedder)

    def score(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Sequence[float]:
        return semantic_similarity(texts, references, cached)

    return SimilarityScorer(cached.name, score)


@dataclass(frozen=True)
class Scorer:
    """Scores answers by the code metrics of a run."""

    version: SquadVersion
    definitions: Sequence[MetricDefinition]
    """All metrics of the run but its judges, in their order."""
    functions: Mapping[str, Metric]
    """By name; a metric without one is computed for a batch at once."""
    similarity: Similarity | None = None
    llm_caller: Callable[[Answer, str], LlmCaller] | None = None
    """The caller of a metric's own judge, by the answer and the metric."""

    async def score(self, answers: Sequence[Answer]) -> list[Answer]:
        """The same answers with their scores; scores that they have already are kept.

        `scored` is True where none is missing.
        """
        scores = [list(answer.scores) for answer in answers]
        complete = [True] * len(answers)
        for definition in self.definitions:
            places = [place for place, answer in enumerate(answers) if self._is_missing(definition, answer)]
            column = await self._column(definition, [answers[place] for place in places])
            for place, score in zip(places, column, strict=True):
                if score is not None:
                    scores[place].append(score)
                elif answers[place].reply.outcome.is_answer:
                    complete[place] = False
        return [
            replace(answer, scores=tuple(found), scored=whole)
            for answer, found, whole in zip(answers, scores, complete, strict=True)
        ]

    def _is_missing(self, definition: MetricDefinition, answer: Answer) -> bool:
        return answer.find_score(definition.name) is None and applies(definition, answer.example, self.version)

    async def _column(self, definition: MetricDefinition, answers: Sequence[Answer]) -> list[Score | None]:
        """One metric's score of each answer."""
        answered = iter(await self._answered(definition, [a for a in answers if a.reply.outcome.is_answer]))
        return [
            next(answered)
            if answer.reply.outcome.is_answer
            else unanswered(definition, str(answer.reply.outcome), answer.reply.message)
            for answer in answers
        ]

    async def _answered(self, definition: MetricDefinition, answers: Sequence[Answer]) -> list[Score | None]:
        if not answers:
            return []
        if Need.EMBEDDINGS not in definition.needs:
            name = definition.name
            given = [(a.example, a.reply.text, partial(self._around, a, name)) for a in answers]
            return await measure(name, self.functions[name], given)
        assert self.similarity is not None, "loaded where a metric needs it"
        # An unanswerable question has no references; the official v2.0 script compares with the empty answer.
        references = [answer.example.references or ("",) for answer in answers]
        texts = [answer.reply.text for answer in answers]
        values = await asyncio.to_thread(self.similarity, texts, references)
        return [Score(value, name=definition.name) for value in values]

    @contextmanager
    def _around(self, answer: Answer, metric: str) -> Iterator[None]:
        """What a metric runs in: the question's trace, and the calls of its own judge."""
        with within(answer.trace):
            if self.llm_caller is None:
                yield
                return
            with within_caller(self.llm_caller(answer, metric)):
                yield
