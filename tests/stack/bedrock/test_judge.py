"""The stand-in for a judge: recognised in every rubric's request, decided by containment, and said to be none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from qa_eval.data import Example
from qa_eval.metrics.judgement import SYSTEM, ReplyForm, read_judgement
from qa_eval.metrics.judges import Judge, PreferenceJudge, judge_of
from qa_eval.spec.metrics import JudgesSpec, MetricSpec
from qa_eval.stack.bedrock.generation import End
from qa_eval.stack.bedrock.judge import EXPLANATION, INSTRUCTIONS, decide, is_judgement, stand_in

EXAMPLE = Example(
    id="1",
    question="What is the capital of France?",
    context="Paris is the capital of France.",
    references=("Paris",),
    group="France",
)


def judge(name: str) -> Judge | PreferenceJudge:
    found = judge_of(MetricSpec(name=name, judge=name), JudgesSpec(model="qa"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "answer", "label"),
    [
        ("correctness", "It is the Paris of today.", "right"),
        ("correctness", "Parisian", "wrong"),
        ("correctness", "", "wrong"),
        ("faithfulness", "the capital of France", "faithful"),
        ("faithfulness", "the capital of Spain", "unfaithful"),
        ("completeness", "Paris", "complete"),
        ("completeness", " ", "incomplete"),
        ("refusal", "I don't know.", "refused"),
        ("refusal", "Paris", "answered"),
    ],
)
def test_a_label_for_every_rubric(name: str, answer: str, label: str) -> None:
    found = judge(name)
    assert isinstance(found, Judge)
    system, user = found.request(EXAMPLE, answer).messages(ReplyForm.LABEL)
    assert is_judgement(system["content"], user["content"])
    assert decide(user["content"], found.labels) == label


@pytest.mark.parametrize(
    ("first", "second", "label"), [("Paris", "Rome", "first"), ("Rome", "Paris", "second"), ("Rome", "Oslo", "tie")]
)
def test_of_two_answers_the_one_that_holds_a_reference(first: str, second: str, label: str) -> None:
    found = judge("preference")
    assert isinstance(found, PreferenceJudge)
    request, _ = found.requests(EXAMPLE, first, second)
    assert decide(request.messages(ReplyForm.LABEL)[-1]["content"], request.labels) == label


def test_its_reply_reads_as_a_judgement_that_says_what_it_is() -> None:
    found = judge("correctness")
    assert isinstance(found, Judge)
    message = found.request(EXAMPLE, "Paris").messages(ReplyForm.LABEL)[-1]["content"]

    async def parts(schema: Any) -> list[str | End]:
        return [part async for part in stand_in(message, schema)]

    response_format = found.request(EXAMPLE, "Paris").extras(ReplyForm.SCHEMA)["response_format"]
    for schema in (None, response_format["json_schema"]["schema"]):
        text, end = asyncio.run(parts(schema))
        judgement = read_judgement(str(text), found.labels)
        assert (judgement.label, judgement.explanation) == ("right", EXPLANATION)
        assert isinstance(end, End)


def test_other_requests_are_none_of_its_business() -> None:
    assert SYSTEM.startswith(INSTRUCTIONS)
    assert not is_judgement("", "Question: Who?")
    assert not is_judgement(SYSTEM, "Question: Who?")
