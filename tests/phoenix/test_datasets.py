"""Datasets in a real Phoenix: loading twice changes nothing, nothing is deleted, and what is there is used there."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from phoenix.client import Client

from qa_eval.data import Dataset, Example, load_dataset
from qa_eval.data.upload import upload_dataset
from qa_eval.errors import DatasetError, InputError, PhoenixError, PhoenixUnavailable
from qa_eval.phoenix import datasets as room
from qa_eval.phoenix.client import Phoenix
from qa_eval.phoenix.datasets import PhoenixDataset, fetch_dataset
from qa_eval.stack import RunningStack

_names = (f"uploaded-{number}" for number in itertools.count())


def example(i: int, text: str = "x") -> Example:
    return Example(f"id-{i}", f"Question {i}?", f"Context {text}", (text, "y"), "T", {"difficulty": "medium"})


def dataset(name: str, *examples: Example) -> Dataset:
    return Dataset(name, examples, description="for a test", named=True)


def upload(stack: RunningStack, data: Dataset, lines: list[str] | None = None) -> PhoenixDataset:
    async def run() -> PhoenixDataset:
        async with Phoenix(stack.phoenix_url, None) as server:
            return await upload_dataset(server.client, data, log=(lines if lines is not None else []).append)

    return asyncio.run(run())


def load(stack: RunningStack, address: str, **options: Any) -> Dataset:
    return load_dataset(f"phoenix:{address}", phoenix_url=stack.phoenix_url, **({"examples": "all"} | options))


def stored(stack: RunningStack, identifier: str) -> list[dict[str, Any]]:
    url = f"{stack.phoenix_url}/v1/datasets/{identifier}/examples"
    examples: list[dict[str, Any]] = httpx.get(url, timeout=30).raise_for_status().json()["data"]["examples"]
    return examples


def test_the_schema(stack: RunningStack) -> None:
    uploaded = upload(stack, dataset(next(_names), example(1)))
    (found,) = stored(stack, uploaded.id)
    assert found["input"] == {"question": "Question 1?", "context": "Context x"}
    assert found["output"] == {"answer": "x"}
    assert found["metadata"] == {"difficulty": "medium", "group": "T", "references": ["x", "y"]}
    splits = httpx.get(
        f"{stack.phoenix_url}/v1/datasets/{uploaded.id}/examples", params={"split": "medium"}, timeout=30
    )
    assert len(splits.raise_for_status().json()["data"]["examples"]) == 1


def test_a_changed_example_is_exactly_one_change(stack: RunningStack) -> None:
    name = next(_names)
    first = upload(stack, dataset(name, *(example(i) for i in range(5))))
    second = upload(stack, dataset(name, *(example(i, "new" if i == 3 else "x") for i in range(5))))
    assert (first.changed, second.changed) == (5, 1)
    assert first.version_id != second.version_id
    assert first.node_ids == second.node_ids


def test_other_examples_are_never_deleted(stack: RunningStack) -> None:
    name = next(_names)
    first = upload(stack, dataset(name, *(example(i) for i in range(5))))
    with pytest.raises(PhoenixError, match=r"2 examples that are not in this one .*`dataset_name`"):
        upload(stack, dataset(name, *(example(i) for i in range(3))))
    assert len(stored(stack, first.id)) == 5


def test_large_datasets_go_in_bounded_batches(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BATCH", 10)
    lines: list[str] = []
    uploaded = upload(stack, dataset(next(_names), *(example(i) for i in range(25))), lines)
    assert [line.split(": ")[1] for line in lines] == [f"{n} of 25 examples in Phoenix" for n in (10, 20, 25)]
    assert len(uploaded.node_ids) == 25


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


@given(contents=st.lists(texts, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_loading_the_same_again_makes_no_new_version(stack: RunningStack, contents: list[str]) -> None:
    """Feature: qa-eval, Property: upload idempotence"""
    data = dataset(next(_names), *(replace(example(i, text), context=text) for i, text in enumerate(contents)))
    first, second = upload(stack, data), upload(stack, data)
    assert (second.changed, second.version_id, second.node_ids) == (0, first.version_id, first.node_ids)


def test_a_name_that_nobody_chose_gives_way(stack: RunningStack) -> None:
    name, lines = next(_names), []
    upload(stack, dataset(name, example(0)))
    data = replace(dataset(name, example(1)), named=False)
    first = upload(stack, data, lines)
    assert first.name == f"{name}-{data.fingerprint[:8]}"
    assert lines[0] == f"Phoenix has other examples under {name!r}: these are under {first.name!r}."
    again = upload(stack, data)
    assert (again.changed, again.version_id) == (0, first.version_id)


def test_an_example_without_context_references_and_difficulty(stack: RunningStack) -> None:
    uploaded = upload(stack, dataset(next(_names), Example("a", "Who?")))
    (found,) = stored(stack, uploaded.id)
    assert (found["input"], found["output"]) == ({"question": "Who?"}, {})
    assert found["metadata"] == {"group": "a", "references": []}


def count_datasets(stack: RunningStack) -> int:
    with httpx.Client(base_url=stack.phoenix_url, timeout=60) as http:
        return len(Client(http_client=http).datasets.list())


def made_in_phoenix(stack: RunningStack, name: str, examples: list[Mapping[str, Any]]) -> Any:
    """A dataset made with Phoenix's own client, as its users make them."""
    with httpx.Client(base_url=stack.phoenix_url, timeout=60) as http:
        return Client(http_client=http).datasets.create_dataset(name=name, examples=examples)


def test_a_dataset_made_with_phoenixs_own_client_is_used_where_it_is(stack: RunningStack) -> None:
    name = next(_names)
    made = made_in_phoenix(
        stack,
        name,
        [
            {"input": {"text": "Who?"}, "output": {"label": "Ada"}, "metadata": {"tier": "gold"}},
            {"input": {"text": "Why?"}, "output": {"label": ["so", "thus"]}, "metadata": {"tier": "free"}},
            {"input": {"text": "Why?"}, "output": {"label": ["so", "thus"]}, "metadata": {"tier": "free"}},
        ],
    )
    before = count_datasets(stack)
    data = load(stack, name)
    assert sorted((e.question, e.references, e.metadata["tier"]) for e in data) == [
        ("Who?", ("Ada",), "gold"),
        ("Why?", ("so", "thus"), "free"),
        ("Why?", ("so", "thus"), "free"),
    ]
    assert data.notes == (
        f"Columns of phoenix:{name}: question from text; references from label; id from id; metadata: tier.",
    )
    assert data.origin is not None
    assert data.origin.node_ids == {each["id"]: each["node_id"] for each in made.examples}
    assert (data.origin.dataset_id, data.origin.version_id) == (made.id, made.version_id)
    uploaded = upload(stack, data)
    assert (uploaded.id, uploaded.version_id, uploaded.changed) == (made.id, made.version_id, 0)
    assert (count_datasets(stack), fetch_dataset(stack.phoenix_url, None, name).version_id) == (before, made.version_id)


def test_usual_names_win_among_several_keys_and_columns_can_be_given(stack: RunningStack) -> None:
    name = next(_names)
    cells = {"input": {"query": "Who?", "passage": "Ada.", "user": 7}, "output": {"answer": "Ada", "confidence": 0.5}}
    made_in_phoenix(stack, name, [{**cells, "metadata": {"topic": "looms", "alternative": "Lovelace"}}])
    (found,) = load(stack, name)
    assert (found.question, found.context, found.references, found.group) == ("Who?", "Ada.", ("Ada",), "looms")
    assert found.metadata == {"user": 7, "confidence": 0.5, "topic": "looms", "alternative": "Lovelace"}
    (given,) = load(stack, name, columns="references=answer+alternative,group=user")
    assert (given.references, given.group) == (("Ada", "Lovelace"), "7")
    with pytest.raises(InputError, match="`columns` cannot name an id for a dataset in Phoenix"):
        load(stack, name, columns="id=user")


def test_the_sample_and_an_unanswerable_question_come_back_as_they_were(stack: RunningStack) -> None:
    sample = replace(load_dataset("sample"), name=next(_names))
    upload(stack, sample)
    assert load(stack, sample.name).fingerprint == sample.fingerprint
    v2 = Dataset(next(_names), (example(0), Example("b", "Why?", "C")), "2.0", "2 of 2 questions, SQuAD v2.0")
    upload(stack, v2)
    again = load(stack, v2.name)
    assert (again.version, again.labelled, set(again.examples)) == ("2.0", 2, set(v2.examples))


def test_a_version_can_be_named(stack: RunningStack) -> None:
    name = next(_names)
    first = upload(stack, dataset(name, example(0)))
    upload(stack, dataset(name, example(0), example(1)))
    assert len(load(stack, name)) == 2
    earlier = load(stack, f"{name}@{first.version_id}")
    assert len(earlier) == 1
    assert earlier.origin is not None
    assert earlier.origin.version_id == first.version_id
    subset = load(stack, name, examples=1)
    assert subset.origin is not None
    assert subset.origin.node_ids.keys() == {subset.examples[0].id}


def test_what_is_not_there_is_one_sentence(stack: RunningStack) -> None:
    name = next(_names)
    upload(stack, dataset(name, example(0)))
    with pytest.raises(PhoenixError, match=f"has no dataset '{name}x': did you mean '{name}'"):
        load(stack, f"{name}x")
    with pytest.raises(PhoenixError, match=r"has no dataset .* in version 'RGF0YXNldFZlcnNpb246OTk5OTk='"):
        load(stack, f"{name}@RGF0YXNldFZlcnNpb246OTk5OTk=")
    with pytest.raises(PhoenixError, match=r"has no dataset .* in version 'nonsense'"):
        load(stack, f"{name}@nonsense")
    with pytest.raises(DatasetError, match="names no dataset: give phoenix:NAME"):
        load(stack, "")
    with pytest.raises(PhoenixUnavailable, match=r"No Phoenix answers at http://127.0.0.1:9: start it"):
        load_dataset("phoenix:x", phoenix_url="http://127.0.0.1:9")


keys = st.sampled_from(("group", "references", "group_", "difficulty", "tier", "question")) | texts
values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.lists(texts, max_size=2)
whole = st.builds(
    Example,
    id=st.just("a"),
    question=texts,
    context=texts,
    references=st.lists(texts, max_size=3).map(tuple),
    group=texts,
    metadata=st.dictionaries(keys, values, max_size=4),
)


@given(original=whole)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_example_survives_phoenix(stack: RunningStack, original: Example) -> None:
    """Feature: litellm-ecs-demo, Property: an example that was uploaded comes back equal, whatever it holds."""
    name = next(_names)
    upload(stack, dataset(name, original))
    assert load(stack, name).examples == (original,)
