"""What Phoenix gets of an answer besides the answer: its scores, its cost, and the facts that explain a score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.scoring import SIMILARITY, similarity_evaluation
from qa_eval.metrics.base import Score
from qa_eval.metrics.explain import answer_facts


@dataclass(frozen=True)
class Evaluation:
    """One score or label of an experiment's run, as Phoenix stores it."""

    name: str
    score: float | None = None
    label: str | None = None
    explanation: str | None = None
    metadata: Mapping[str, str] | None = None
    error: str | None = None
    """Why there is neither."""

    def to_json(self, run_id: str) -> dict[str, Any]:
        """As Phoenix takes it."""
        now = datetime.now(UTC).isoformat()
        result = {"score": self.score, "label": self.label, "explanation": self.explanation}
        given = {name: value for name, value in result.items() if value is not None}
        return {
            "experiment_run_id": run_id,
            "name": self.name,
            "annotator_kind": "CODE",
            "start_time": now,
            "end_time": now,
            **({"error": self.error} if self.error else {"result": given}),
            "metadata": dict(self.metadata or {}),
        }


def evaluations_of(answer: Answer, metadata: RunMetadata) -> list[Evaluation]:
    """The evaluations of one scored answer."""
    assert answer.scores is not None, "only what is scored is recorded"
    evaluations = [_of_score(score, metadata.embedder) for score in answer.scores]
    if answer.reply.cost_usd is not None:
        # The gateway's own figure, its guardrail included: Phoenix has no price for a gateway's model groups.
        evaluations.append(Evaluation("cost_usd", answer.reply.cost_usd))
    facts = metadata.spec.recording.facts and answer.reply.outcome.is_answer
    return evaluations + (_facts(answer) if facts else [])


def _of_score(score: Score, embedder: str) -> Evaluation:
    if score.name == SIMILARITY:
        name = similarity_evaluation(embedder)
        return Evaluation(name, score.value, score.label, score.explanation, {"embedder": embedder})
    return Evaluation(score.name, score.value, score.label, score.explanation, error=score.error)


def _facts(answer: Answer) -> list[Evaluation]:
    facts = answer_facts(answer.example.question, answer.reply.text, answer.example.references)
    evaluations = [
        Evaluation("answer_contained", float(facts.answer_contained)),
        Evaluation("declined", label=facts.declined or "no"),
        Evaluation("question_type", label=facts.question_type),
    ]
    if facts.length_ratio is not None:
        evaluations.append(Evaluation("length_ratio", facts.length_ratio))
    return evaluations
