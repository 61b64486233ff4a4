"""How an example becomes messages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.data import Example
from qa_eval.errors import InputError
from qa_eval.spec.model import Message, PromptSpec
from qa_eval.targets.prompt import check_fields, declines, default_prompt, render


def prompt(*contents: str) -> PromptSpec:
    return PromptSpec(messages=tuple(Message(role="user", content=content) for content in contents))


EXAMPLE = Example("1", " Who? ", "It was {question}.", metadata={"product": "Acme {x}", "tier": 2, "tags": ["a"]})


def test_fields_are_filled_once() -> None:
    (first,) = render(prompt("{context} {question} {product} {tier} {tags} {missing}"), EXAMPLE)
    assert first["content"] == 'It was {question}. Who? Acme {x} 2 ["a"] '


def test_other_braces_stay_and_doubled_ones_are_text() -> None:
    (first,) = render(prompt('Answer as {"answer": "…"} or {{product}}: {question} {} { x }'), EXAMPLE)
    assert first["content"] == 'Answer as {"answer": "…"} or {product}: Who? {} { x }'


@settings(max_examples=200)
@given(st.text("ab{} question", max_size=30))
def test_a_prompt_without_fields_stays_as_it_is(text: str) -> None:
    """Feature: litellm-ecs-demo, Property: an example's text never becomes a field, whatever it holds."""
    example = Example("1", text or "x", text)
    (message,) = render(prompt("<{context}|{question}>"), example)
    assert message["content"] == f"<{text}|{(text or 'x').strip()}>"


def test_a_field_that_no_example_has_is_named() -> None:
    check_fields(prompt("{question} {product}"), ("question", "context", "product"))
    with pytest.raises(InputError, match=r"uses \{produkt\}, which no example has: use one of context, product"):
        check_fields(prompt("{question} {produkt}"), ("question", "context", "product"))
    with pytest.raises(InputError, match=r"does not use \{question\}"):
        check_fields(prompt("{{question}} and nothing else"), ("question",))


def test_the_default_prompt_fits_the_dataset() -> None:
    assert "{context}" in default_prompt("1.1").messages[0].content
    assert "unanswerable" in default_prompt("2.0").messages[0].content
    bare = default_prompt("1.1", has_context=False).messages[0].content
    assert "context" not in bare.lower()
    assert declines(" Unanswerable. ")
