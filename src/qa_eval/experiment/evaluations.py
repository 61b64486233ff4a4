"""What Phoenix gets of an answer besides the answer: its scores, cost, time to the first token, and facts."""

from __future__ import annotations

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.scoring import similarity_evaluation
from qa_eval.metrics import f1
from qa_eval.metrics.base import Score
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.explain import answer_facts
from qa_eval.metrics.registry import SIMILARITY
from qa_eval.phoenix.experiments import Evaluation
from qa_eval.words import counted


def evaluations_of(answer: Answer, metadata: RunMetadata) -> list[Evaluation]:
    """The evaluations of one scored answer."""
    assert answer.scored, "only what is scored is recorded"
    definitions = metadata.definitions
    evaluations = [_of_score(score, definitions[score.name], answer, metadata) for score in answer.scores]
    if answer.reply.cost_usd is not None:
        # The gateway's own figure, its guardrail included: Phoenix prices the tokens alone.
        evaluations.append(Evaluation("cost_usd", answer.reply.cost_usd))
    if answer.reply.first_token_s is not None:
        evaluations.append(Evaluation("first_token_s", answer.reply.first_token_s))
    facts = _facts(answer) if metadata.spec.recording.facts and answer.reply.outcome.is_answer else []
    return evaluations + [fact for fact in facts if fact.name not in definitions]


def _of_score(score: Score, definition: MetricDefinition, answer: Answer, metadata: RunMetadata) -> Evaluation:
    label, explanation = score.label, score.explanation
    if definition.scores_unanswerable and answer.reply.outcome.is_answer:
        label, explanation = _explained(score, answer)
    if score.name == SIMILARITY:
        named = similarity_evaluation(metadata.embedder)
        return Evaluation(named, score.value, label, explanation, {"embedder": metadata.embedder})
    if definition.source == "judge":
        about = {"judge": metadata.judge_model(score.name)}
        return Evaluation(score.name, score.value, label, explanation, about, error=score.error, kind="LLM")
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
