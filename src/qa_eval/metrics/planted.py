"""Planted answers: known right and known wrong ones for the run's own questions, to measure a judge without people.

Right is a reference that the judge is not shown, where there are several, else the one that it is shown. Wrong is a
reference of another question of the same type whose F1 with this question's references is 0. Such wrong answers are
easier to tell than those that systems give: what a judge makes of them is the best that can be expected of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa_eval.data.examples import Example
from qa_eval.data.questions import question_type
from qa_eval.metrics.definition import Need
from qa_eval.metrics.judgement import JudgeRequest
from qa_eval.metrics.judges import Judge
from qa_eval.metrics.squad import f1


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted answer."""

    example: Example
    answer: str
    is_right: bool
    request: JudgeRequest


def can_be_planted(judge: Judge) -> bool:
    """Whether right and wrong answers are known for a judge: it compares with references and has two choices."""
    return Need.REFERENCES in judge.definition.needs and len(judge.labels) == 2


def planted_answers(judge: Judge, examples: Sequence[Example], most: int) -> list[Planted]:
    """At most so many right, and as many wrong, answers; the same for the same examples.

    Args:
        judge: Who is asked about them.
        examples: The run's.
        most: Of each kind.
    """
    usable = sorted((example for example in examples if any(map(str.strip, example.references))), key=_order)
    right = [_right(judge, example) for example in usable[:most]]
    return [*right, *_wrong(judge, usable, most)]


def says_right(judge: Judge, label: str) -> bool:
    """Whether a label is the judge's best one."""
    low, high = judge.rubric.range
    best = high if judge.definition.higher_is_better else low
    return judge.rubric.choices[label] == best


def _right(judge: Judge, example: Example) -> Planted:
    answer, *others = dict.fromkeys(reference for reference in example.references if reference.strip())
    return Planted(example, answer, True, judge.request(example, answer, others or [answer]))


def _wrong(judge: Judge, examples: Sequence[Example], most: int) -> Iterator[Planted]:
    by_type: dict[str, list[Example]] = {}
    for example in examples:
        by_type.setdefault(question_type(example.question), []).append(example)
    found = 0
    for example in examples:
        if found == most:
            return
        answer = _foreign_reference(example, by_type[question_type(example.question)])
        if answer is not None:
            found += 1
            yield Planted(example, answer, False, judge.request(example, answer))


def _foreign_reference(example: Example, candidates: Sequence[Example]) -> str | None:
    """A reference of another question of the same type that shares no word with this question's references."""
    start = next(place for place, each in enumerate(candidates) if each.id == example.id)
    for other in (*candidates[start + 1 :], *candidates[:start]):
        answer = next(reference for reference in other.references if reference.strip())
        if f1(answer, example.references) == 0.0:
            return answer
    return None


def _order(example: Example) -> str:
    return hashlib.sha256(example.id.encode()).hexdigest()
