"""How a message becomes a prompt for the small model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.data.examples import Example
from qa_eval.stack.bedrock.prompts import ContextQuestion, as_series, read_question
from qa_eval.targets.prompt import default_prompt, render

line = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), min_size=1).filter(str.strip)


def ask(context, question, before="Answer briefly.\n\n"):
    return f"{before}Context: {context}\n\nQuestion: {question}\n\nAnswer:"


@settings(max_examples=200)
@given(context=line, question=line)
def test_any_context_and_question_are_read_back(context, question):
    """Feature: litellm-ecs-demo, Property: what the default form asks is read back without the space around it."""
    assert read_question(ask(context, question)) == ContextQuestion(context.strip(), question.strip())


@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_the_clients_default_prompt_is_read(version):
    example = Example(
        id="1",
        question=" Where is Mainz?",
        context="Mainz lies on the Rhine. ",
        references=("on the Rhine",),
        group="Mainz",
    )
    (asked,) = render(default_prompt(version), example)
    message = asked["content"]

    assert read_question(message) == ContextQuestion("Mainz lies on the Rhine.", "Where is Mainz?")
    assert ("Answer: unanswerable" in as_series(read_question(message), message)) == (version == "2.0")


def test_a_context_of_several_paragraphs_that_asks_a_question_itself():
    context = "He asked:\n\nQuestion: who?\n\nNobody knew.\nContext: none."
    assert read_question(ask(context, "What did he ask?")) == ContextQuestion(context, "What did he ask?")


@pytest.mark.parametrize(
    "message",
    [
        "Who wrote Hamlet?",
        "Context: here\nQuestion: what?\nAnswer:",
        "Question: what?\n\nContext: here\n\nAnswer:",
        ask("here", "what?") + " something",
        ask("here", "what?").replace("Context: ", "My Context: "),
        "",
    ],
)
def test_other_forms_are_conversations(message):
    assert read_question(message) is None


def test_the_series_ends_with_the_question_and_an_open_answer():
    series = as_series(ContextQuestion("Mainz lies on the Rhine.", "Where is Mainz?"), "Answer briefly.")

    assert series.endswith("Context: Mainz lies on the Rhine.\n\nQuestion: Where is Mainz?\n\nAnswer:")
    assert series.count("Answer: ") == 3
    assert "unanswerable" not in series


def test_where_unanswerable_is_allowed_the_series_shows_it_once():
    asked = ContextQuestion("Mainz lies on the Rhine.", "Where is Ulm?")
    with_it, without = as_series(asked, "Else answer: UNANSWERABLE."), as_series(asked, "")

    assert with_it.count("Answer: unanswerable\n") == 1
    assert with_it.endswith(without)
