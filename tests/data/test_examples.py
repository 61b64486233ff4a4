"""Examples and datasets: groups, fields, references, fingerprint."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.data import Dataset, Example

LABELLED = Example("a", "Who?", "Ada wrote it.", ("Ada",), metadata={"product": "loom", "{odd}": 1, "question": "x"})
BARE = Example("b", "Why?")


def test_without_a_group_examples_with_the_same_context_form_one() -> None:
    assert LABELLED.group == Example("c", "When?", "Ada wrote it.").group
    assert LABELLED.group.startswith("context ")
    assert Example("c", "When?", "Bob wrote it.").group != LABELLED.group
    assert BARE.group == "b"
    assert Example("c", "When?", "Ada wrote it.", group="Ada").group == "Ada"


def test_fields_are_what_a_prompt_can_name() -> None:
    assert Dataset("d", (LABELLED, BARE)).fields == ("question", "context", "product")
    assert Dataset("d", (BARE,)).fields == ("question",)


def test_no_reference_is_an_answer_only_in_version_2() -> None:
    assert Dataset("d", (LABELLED, BARE)).labelled == 1
    assert Dataset("d", (LABELLED, BARE), "2.0").labelled == 2
    assert not Dataset("d", (BARE,)).has_references(BARE)


def test_it_says_groups() -> None:
    assert repr(Dataset("d", (LABELLED, BARE))) == "Dataset('d', 2 examples in 2 groups)"


@given(texts=st.lists(st.text(max_size=5), min_size=2, max_size=6, unique=True), data=st.data())
@settings(max_examples=150)
def test_the_fingerprint_is_that_of_the_content(texts: list[str], data: st.DataObject) -> None:
    """Feature: litellm-ecs-demo, Property: a fingerprint changes with the content and not with order or name."""
    examples = [Example(str(i), text, references=(text,)) for i, text in enumerate(texts)]
    fingerprint = Dataset("d", tuple(examples)).fingerprint
    assert Dataset("e", tuple(data.draw(st.permutations(examples))), notes=("read",)).fingerprint == fingerprint
    changed = replace(examples[0], question=texts[0] + "!")
    assert Dataset("d", (changed, *examples[1:])).fingerprint != fingerprint
