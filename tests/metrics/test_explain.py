"""The facts beside a score follow their rules, on real questions and on answers as models give them."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_eval.metrics.explain import AnswerFacts, answer_contained, answer_facts, declined, length_ratio, question_type
from qa_eval.metrics.squad import exact_match

SHARED = Path(os.environ.get("QA_EVAL_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who wrote Hamlet?", "who"),
        ("To whom did the land belong?", "who"),
        ("Whose idea was it?", "who"),
        ("Who's the author?", "who"),
        ("When did the war end?", "when"),
        ("The church was built when?", "when"),
        ("Where is the park?", "where"),
        ("In addition to schools, where else is it taught?", "where"),
        ("Where in Warsaw are the monuments?", "where"),
        ("How many people live there?", "how many"),
        ("HOW  MUCH did it cost?", "how many"),
        ("How long is the river?", "how"),
        ("How did he die?", "how"),
        ("Why was it closed?", "why"),
        ("In which year did it open?", "which"),
        ("In what year did it open?", "what"),
        ("What's the capital?", "what"),
        ("When the war ended, who ruled?", "who"),
        ("When violence is used, what is it called?", "what"),
        ("Rocks fold when placed under this.", "other"),
        ("Is the rate going up or down?", "other"),
        ("Name a river.", "other"),
        ("The whole is whatever it is.", "other"),
        ("", "other"),
    ],
)
def test_question_types(question: str, kind: str) -> None:
    assert question_type(question) == kind


def test_nearly_all_questions_of_the_development_set_have_a_type() -> None:
    file = SHARED / "squad" / "dev-v1.1.json"
    if not file.is_file():
        pytest.skip(f"{file} is absent: set QA_EVAL_SHARED_DATA to test on the real questions")
    entries = [
        entry
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
    ]
    kinds = Counter(question_type(entry["question"]) for entry in entries)
    assert kinds["other"] < 0.01 * len(entries)
    assert kinds["what"] > 6_000
    assert min(kinds[kind] for kind in ("who", "when", "where", "how many", "how", "why", "which")) > 100
    # Real answers are hardly ever taken for declined ones; "unknown" is the one that is both.
    refused = {answer["text"] for entry in entries for answer in entry["answers"] if declined(answer["text"])}
    assert refused <= {"unknown"}


@pytest.mark.parametrize(
    "prediction",
    [
        "unanswerable",
        "Unanswerable.",
        "Unknown",
        "N/A",
        "Not mentioned.",
        "It is not mentioned in the passage.",
        "The context does not provide information about the river.",
        "The passage doesn’t say who wrote it.",
        "I'm sorry, but the text doesn't explicitly mention this.",
        "There is no information about this.",
        "Not enough information",
        "The answer cannot be determined from the context.",
        "I cannot find the answer in the given passage.",
        "I don't know.",
    ],
)
def test_answers_that_say_the_context_has_none(prediction: str) -> None:
    assert declined(prediction) == "not in context"


@pytest.mark.parametrize(
    "prediction",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m sorry.",
        "Sorry, I cannot do this.",
        "I cannot answer that question.",
        "As an AI language model, I have no opinion.",
        "I am unable to help.",
        "I apologize, but no.",
    ],
)
def test_refusals(prediction: str) -> None:
    assert declined(prediction) == "refused"


@pytest.mark.parametrize(
    "prediction",
    [
        "",
        "Paris",
        "the Unknown Soldier",
        "The cause is unknown",
        "not the king but the queen",
        "No Man's Land",
        "the text",
        "She said that I cannot",
    ],
)
def test_answers_that_decline_nothing(prediction: str) -> None:
    assert declined(prediction) is None


@pytest.mark.parametrize(
    ("prediction", "references", "contained"),
    [
        ("It was the Denver Broncos who won.", ["Denver Broncos"], True),
        ("It was 24-10.", ["24–10", "2410"], True),
        ("the party", ["art"], False),
        ("Broncos of Denver", ["Denver Broncos"], False),
        ("Denver, the Broncos", ["Denver Broncos"], True),
        ("anything", ["", "the"], False),
        ("", ["Paris"], False),
        ("Paris", [], False),
    ],
)
def test_answer_contained(prediction: str, references: list[str], contained: bool) -> None:
    assert answer_contained(prediction, references) is contained


@pytest.mark.parametrize(
    ("prediction", "references", "ratio"),
    [
        ("Paris", ["Paris"], 1.0),
        ("It was in the city of Paris", ["Paris"], 6.0),
        ("one two three four", ["one", "one two three"], 4 / 3),
        ("one two three", ["one two", "one two three four"], 3 / 2),
        ("", ["Paris"], 0.0),
        ("Paris", ["the", ""], None),
        ("Paris", [], None),
    ],
)
def test_length_ratio(prediction: str, references: list[str], ratio: float | None) -> None:
    assert length_ratio(prediction, references) == ratio


def test_all_facts_of_one_answer() -> None:
    facts = answer_facts("Who won Super Bowl 50?", "The Denver Broncos won it.", ["Denver Broncos"])
    assert facts == AnswerFacts(answer_contained=True, length_ratio=2.0, declined=None, question_type="who")


texts = st.one_of(
    st.lists(st.sampled_from(["the", "Paris", "24-10", ".", "ß", "is not", "when", "I'm", "sorry"]), max_size=8).map(
        " ".join
    ),
    st.text(max_size=30),
)


@given(texts, texts, st.lists(texts, max_size=4))
def test_any_text_has_facts(question: str, prediction: str, references: list[str]) -> None:
    """Feature: litellm-ecs-demo, Property: facts exist for any text, and ratios are not negative."""
    facts = answer_facts(question, prediction, references)
    assert facts.length_ratio is None or facts.length_ratio >= 0
    assert not (facts.answer_contained and facts.length_ratio is None)


@given(texts, texts, texts)
def test_a_reference_in_a_longer_answer_is_found(before: str, reference: str, after: str) -> None:
    """Feature: litellm-ecs-demo, Property: a reference is contained in itself with anything around it."""
    something_is_left = exact_match(reference, [""]) == 0.0
    assert answer_contained(reference, [reference]) is something_is_left
    assert answer_contained(f"{before} {reference} {after}", [reference]) is something_is_left
