"""A judge of a run: a rubric and a model, without the calls. What it is asked, and what a reply scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.metrics.base import Score
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.judgement import PARAMETERS, JudgeRequest, read_judgement
from qa_eval.metrics.registry import PREFERENCE, definition_of
from qa_eval.metrics.rubrics import rubric_of
from qa_eval.spec.metrics import JudgesSpec, MetricSpec, RubricSpec
from qa_eval.spec.template import as_text, fields_of, fill

ANSWER, REFERENCES = "answer", "references"


@dataclass(frozen=True)
class Judge:
    """A judge that decides on single answers."""

    definition: MetricDefinition
    rubric: RubricSpec
    model: str
    """The model group that judges."""
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.definition.name

    @property
    def labels(self) -> tuple[str, ...]:
        """What it chooses from."""
        return tuple(self.rubric.choices)

    def request(self, example: Example, answer: str, references: Sequence[str] | None = None) -> JudgeRequest:
        """What is asked about one answer; the system that gave it is not in it.

        Args:
            example: The question, with all that a rubric may use of it.
            answer: What is judged.
            references: In place of the example's.
        """
        shown = example.references if references is None else references
        values = {ANSWER: answer, REFERENCES: "\n".join(dict.fromkeys(shown))}
        return judge_request(self.rubric.prompt, example, values, self.labels, self.model, self.parameters)

    def score(self, text: str) -> Score:
        """The score of a reply's text.

        Raises:
            Misjudgement: It is no judgement.
        """
        found = read_judgement(text, self.labels)
        value = self.rubric.choices[found.label]
        return Score(value, found.label, found.explanation or None, name=self.name)


@dataclass(frozen=True)
class PreferenceJudge:
    """A judge that decides between the answers of two systems, asked in both orders: a flip is a tie.

    The score is the candidate's: 1 where it is preferred, 0 where the baseline is, else 0.5. Its mean is the
    candidate's win rate with ties counted half; the baseline's own score is 0.5 on every question.
    """

    definition: MetricDefinition
    model: str
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.definition.name

    def requests(self, example: Example, baseline: str, candidate: str) -> tuple[JudgeRequest, JudgeRequest]:
        """The two requests: the baseline first, then the candidate first."""
        first, second = (
            judge_request(_PREFERENCE, example, {"first": a, "second": b}, _ORDER, self.model, self.parameters)
            for a, b in ((baseline, candidate), (candidate, baseline))
        )
        return first, second

    def score(self, baseline_first: str, candidate_first: str) -> Score:
        """The candidate's score from the texts of the two replies.

        Raises:
            Misjudgement: One is no judgement.
        """
        one, other = (read_judgement(text, _ORDER) for text in (baseline_first, candidate_first))
        values = _VALUES[one.label], 1.0 - _VALUES[other.label]
        label = {(0.0, 0.0): "baseline", (1.0, 1.0): "candidate"}.get(values, "tie")
        notes = [f"baseline first: {one.explanation}", f"candidate first: {other.explanation}"]
        if label == "tie" and 0.5 not in values:
            notes.insert(0, "the decision flips with the order")
        return Score(_PREFERRED[label], label, "; ".join(notes), name=self.name)

    def without_calls(self, baseline_answered: bool, candidate_answered: bool) -> Score | None:
        """The score where there are not two answers to compare: an answer is better than none."""
        if baseline_answered and candidate_answered:
            return None
        value = 0.5 + (candidate_answered - baseline_answered) / 2
        missing = "neither has an answer" if value == 0.5 else "only one has an answer"
        return Score(value, {0.0: "baseline", 0.5: "tie", 1.0: "candidate"}[value], missing, name=self.name)

    def of_baseline(self) -> Score:
        """The baseline's own score."""
        return Score(0.5, "baseline", "It is what the others are compared with.", name=self.name)


_ORDER = ("first", "second", "tie")
_VALUES = {"first": 0.0, "second": 1.0, "tie": 0.5}
_PREFERRED = {"baseline": 0.0, "candidate": 1.0, "tie": 0.5}
_PREFERENCE = (
    "Decide which of two answers to a question is the better one: right, to the point, and complete for what was "
    "asked. Their order and their length mean nothing. Where both are as good, or as bad, it is a tie. References, "
    "where there are any, are answers that are known to be right.\n\n"
    "<question>\n{question}\n</question>\n\n<context>\n{context}\n</context>\n\n"
    "<references>\n{references}\n</references>\n\n"
    "<first>\n{first}\n</first>\n\n<second>\n{second}\n</second>"
)


def judge_request(
    template: str,
    example: Example,
    values: Mapping[str, str],
    labels: tuple[str, ...],
    model: str,
    parameters: Mapping[str, Any],
) -> JudgeRequest:
    """A template with the fields of an example and some values of its own, as a request."""
    own = {
        "question": example.question.strip(),
        "context": example.context,
        REFERENCES: "\n".join(dict.fromkeys(example.references)),
        **values,
    }

    def value(name: str) -> str:
        return own[name] if name in own else as_text(example.metadata.get(name, ""))

    return JudgeRequest(model, fill(template, value), labels, parameters)


def judge_of(spec: MetricSpec, judges: JudgesSpec) -> Judge | PreferenceJudge | None:
    """The judge of a metric; None where it is no judge.

    Raises:
        InputError: It has no model, or there is no such rubric.
    """
    if spec.judge is None:
        return None
    definition = definition_of(spec)
    model = spec.model or judges.model
    if model is None:
        raise InputError(f"The judge {spec.name} has no model: say which model group judges with `judge_model`.")
    parameters = {**PARAMETERS, **spec.parameters.to_data()}
    if spec.judge == PREFERENCE:
        return PreferenceJudge(definition, model, parameters)
    return Judge(definition, rubric_of(spec), model, parameters)


def check_rubric(judge: Judge, fields: Collection[str]) -> None:
    """Make sure that a rubric uses only what some example has.

    Args:
        judge: The judge.
        fields: The dataset's fields, such as `question` and `context`.

    Raises:
        InputError: It uses another field.
    """
    known = {"question", ANSWER, REFERENCES, *fields}
    unknown = next((name for name in fields_of(judge.rubric.prompt) if name not in known), None)
    if unknown is not None:
        usable = ", ".join(sorted(known))
        raise InputError(f"The rubric of {judge.name} uses {{{unknown}}}, which no example has: use one of {usable}.")


FAMILIES = (
    ("claude", "anthropic"),
    ("nova", "titan"),
    ("gpt", "openai", "o1-", "o3-", "o4-"),
    ("llama", "meta."),
    ("mistral", "mixtral", "ministral"),
    ("gemini", "gemma"),
    ("deepseek",),
    ("qwen",),
    ("command", "cohere"),
    ("smollm",),
)
"""Words in model names that say which maker's they are. A judge prefers answers of its own kind (Panickssery, Bowman
and Feng, 2024, "LLM Evaluators Recognize and Favor Their Own Generations", arXiv:2404.13076)."""


def family(models: Sequence[str]) -> str | None:
    """The first family that some names of one model point to; None where none does."""
    lowered = [model.lower() for model in models]
    return next((words[0] for words in FAMILIES if any(word in name for word in words for name in lowered)), None)
