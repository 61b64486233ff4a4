"""The bundled sample keeps what `datasets/README.md` promises: format, exact spans, difficulty, privacy.

In: `datasets/qa-eval-sample.json`, read as it stands in the repository. Out: nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from qa_eval.data.load import load_dataset
from qa_eval.metrics.squad import normalised_tokens

DATASETS = Path(__file__).parents[2] / "datasets"
TEXT = (DATASETS / "qa-eval-sample.json").read_bytes().decode("utf-8")
CONTENT = json.loads(TEXT)

SUBJECTS = {"geography", "science", "mathematics", "engineering", "history", "literature", "music", "art"}
NUMBER_WORDS = "two|three|five|eight|ten|twelve|twenty|thirty|forty|sixty|eighty|ninety|nine|thousand"
PHONE_LIKE = re.compile(r"\+\d|\d[\d\s()./-]{5,}\d")
FUNCTION_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at by to for from and or is are was were be been do does did has have had it its "
        "their his her that this which who whom whose what when where why how many much long with as than "
        "into only there we so s",
    )
)


@dataclass(frozen=True)
class Question:
    """One example of the sample with the paragraph it asks about."""

    id: str
    text: str
    context: str
    answers: tuple[tuple[str, int], ...]
    accepted: tuple[str, ...]
    metadata: dict[str, str]

    @property
    def answer_sentence(self) -> str:
        """The sentence of the context in which the preferred reference starts."""
        start = self.answers[0][1]
        before = self.context.rfind(". ", 0, start)
        end = self.context.find(". ", start)
        return self.context[before + 1 : end if end >= 0 else None]


PARAGRAPHS = [paragraph for article in CONTENT["data"] for paragraph in article["paragraphs"]]
CONTEXTS = [paragraph["context"] for paragraph in PARAGRAPHS]
QUESTIONS = [
    Question(
        id=qa["id"],
        text=qa["question"],
        context=paragraph["context"],
        answers=tuple((answer["text"], answer["answer_start"]) for answer in qa["answers"]),
        accepted=tuple(qa.get("accepted", ())),
        metadata=qa["metadata"],
    )
    for paragraph in PARAGRAPHS
    for qa in paragraph["qas"]
]

each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)


def content_words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - FUNCTION_WORDS


def test_holds_100_questions_from_25_articles_in_the_v1_1_format() -> None:
    titles = [article["title"] for article in CONTENT["data"]]
    assert CONTENT["version"] == "1.1"
    assert len(QUESTIONS) == 100
    assert len(titles) == len(set(titles)) == 25


def test_is_stored_so_that_changes_show_line_by_line() -> None:
    assert json.dumps(CONTENT, ensure_ascii=False, indent=1) + "\n" == TEXT


def test_ids_are_unique_and_readable() -> None:
    ids = [question.id for question in QUESTIONS]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(-[a-z]+)*-[1-9]", name)] == []


def test_no_question_is_asked_twice() -> None:
    asked = Counter(" ".join(re.findall(r"\w+", question.text.lower())) for question in QUESTIONS)
    assert [text for text, times in asked.items() if times > 1] == []


@each_question
def test_references_are_whole_words_exactly_where_answer_start_says(question: Question) -> None:
    assert question.answers
    assert len(set(question.answers)) == len(question.answers)
    for text, start in question.answers:
        end = start + len(text)
        assert question.context[start:end] == text == text.strip() != ""
        assert not re.match(r"\w\w", question.context[max(start - 1, 0) : start + 1]) or start == 0
        assert not re.match(r"\w\w", question.context[end - 1 : end + 1])


def test_many_questions_accept_more_than_one_reference() -> None:
    several = [question for question in QUESTIONS if len({text for text, _ in question.answers}) > 1]
    assert len(several) >= 25


@each_question
def test_metadata_name_the_source_and_a_difficulty(question: Question) -> None:
    assert question.metadata["source"] == "qa-eval-sample"
    assert question.metadata["difficulty"] in {"easy", "medium", "hard"}
    assert question.metadata["subject"] in SUBJECTS
    assert question.metadata["answer_type"] in {"number", "date", "person", "place", "term", "phrase"}
    assert set(question.metadata) == {"source", "difficulty", "subject", "answer_type"}


@each_question
def test_every_reference_adds_something_to_the_others(question: Question) -> None:
    spans = {" ".join(normalised_tokens(text)) for text, _ in question.answers}
    more = [" ".join(normalised_tokens(text)) for text in question.accepted]
    assert len(set(more)) == len(more)
    assert not spans & set(more)


@each_question
def test_a_number_is_accepted_in_words_and_in_digits(question: Question) -> None:
    if question.metadata["answer_type"] == "number" and not re.search(r"1,642|180", question.answers[0][0]):
        texts = " ".join((*(text for text, _ in question.answers), *question.accepted))
        assert re.search(r"\d", texts)
        assert re.search(rf"\b({NUMBER_WORDS})", texts)


def test_the_loader_takes_accepted_answers_as_references() -> None:
    examples = {example.id: example for example in load_dataset(examples="all")}
    assert examples["danube-2"].references == ("ten", "ten countries", "10", "10 countries")
    assert examples["danube-2"].metadata["subject"] == "geography"


def test_free_questions_ask_why_and_how_about_the_same_paragraphs() -> None:
    dataset = load_dataset("sample-free", examples="all")
    assert len(dataset) == 20
    assert {example.context for example in dataset} <= set(CONTEXTS)
    assert {example.metadata["answer_type"] for example in dataset} == {"why", "how"}
    assert all(len(example.references) == 1 and len(example.references[0].split()) >= 12 for example in dataset)


def test_difficulties_have_the_documented_shares() -> None:
    counts = Counter(question.metadata["difficulty"] for question in QUESTIONS)
    assert counts == {"easy": 40, "medium": 35, "hard": 25}
    readme = (DATASETS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{label}` ({count})" in readme for label, count in counts.items())


@each_question
def test_easy_questions_repeat_the_text_and_medium_ones_do_not(question: Question) -> None:
    difficulty = question.metadata["difficulty"]
    words = content_words(question.text)
    repeated = len(words & content_words(question.answer_sentence)) / len(words)
    if difficulty == "easy":
        assert repeated >= 0.5
        assert min(len(text.split()) for text, _ in question.answers) <= 3
    elif difficulty == "medium":
        assert repeated < 0.5


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context[:24])
def test_contexts_are_paragraphs_of_60_to_160_words_in_clean_text(context: str) -> None:
    assert 60 <= len(context.split()) <= 160
    assert context == " ".join(context.split())
    assert context.endswith(".")


def test_contexts_differ() -> None:
    assert len(set(CONTEXTS)) == len(CONTEXTS)


@pytest.mark.parametrize("text", [*CONTEXTS, *(question.text for question in QUESTIONS)], ids=lambda text: text[:24])
def test_nothing_looks_like_an_address_or_a_phone_number(text: str) -> None:
    assert "@" not in text
    assert PHONE_LIKE.search(text) is None


def test_the_phone_check_sees_phone_numbers() -> None:
    assert all(PHONE_LIKE.search(text) for text in ("+1", "555-0100 22", "(030) 123 456", "020.7946.0000"))


def test_the_licence_is_the_cc0_legal_code() -> None:
    licence = (DATASETS / "LICENSE").read_text(encoding="utf-8")
    assert "CC0 1.0 Universal" in licence
    assert "Public License Fallback" in licence
