"""What Phoenix gets of an answer besides the answer: its scores, its cost, and the facts that explain a score."""

from __future__ import annotations

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.scoring import SIMILARITY, similarity_evaluation
from qa_eval.metrics import f1
from qa_eval.metrics.base import Score
from qa_eval.metrics.explain import answer_facts
from qa_eval.phoenix.experiments import Evaluation
from qa_eval.spec.model import BUILT_IN_METRICS
from qa_eval.words import counted


def evaluations_of(answer: Answer, metadata: RunMetadata) -> list[Evaluation]:
    """The evaluations of one scored answer."""
    assert answer.scores is not None, "only what is scored is recorded"
    evaluations = [_of_score(score, answer, metadata.embedder) for score in answer.scores]
    if answer.reply.cost_usd is not None:
        # The gateway's own figure, its guardrail included: Phoenix prices the tokens alone.
        evaluations.append(Evaluation("cost_usd", answer.reply.cost_usd))
    facts = metadata.spec.recording.facts and answer.reply.outcome.is_answer
    return evaluations + (_facts(answer) if facts else [])


def _of_score(score: Score, answer: Answer, embedder: str) -> Evaluation:
    label, explanation = score.label, score.explanation
    if score.name in BUILT_IN_METRICS and answer.reply.outcome.is_answer:
        label, explanation = _explained(score, answer)
    if score.name == SIMILARITY:
        return Evaluation(similarity_evaluation(embedder), score.value, label, explanation, {"embedder": embedder})
    return Evaluation(score.name, score.value, label, explanation, error=score.error)


def _explained(score: Score, answer: Answer) -> tuple[str, str]:
    """A label and an explanation for a score that compares with references."""
    references = answer.example.references
    if not references:
        return _label(score.value), "No answer is right here: the question is unanswerable."
    if score.name == SIMILARITY:
        return _label(score.value), f"The highest cosine similarity to one of {counted(len(references), 'reference')}."
    closest = max(references, key=lambda reference: f1(answer.reply.text, [reference]))
    return _label(score.value), f"The closest reference is {closest!r}, by F1 over its words."


def _label(value: float | None) -> str:
    if value is None or value <= 0:
        return "no match"
    return "match" if value >= 1 else "partial"


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
