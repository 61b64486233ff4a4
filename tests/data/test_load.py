"""Loading: the sample, SQuAD files, subsets and their names, and what is refused."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.data import Example, load_dataset
from qa_eval.data.difficulty import derive_difficulty
from qa_eval.data.predictions import read_predictions
from qa_eval.data.subset import take
from qa_eval.errors import DatasetError, InputError

QUESTION = {"id": "q1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]}


def squad(*questions: Any, context: str = "Ada wrote it.", version: str = "1.1") -> dict[str, Any]:
    return {"version": version, "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_the_sample_is_the_default() -> None:
    dataset = load_dataset()
    assert (dataset.name, dataset.version, len(dataset)) == ("qa-eval-sample", "1.1", 100)
    assert {example.metadata["source"] for example in dataset} == {"qa-eval-sample"}


def test_a_smaller_subset_of_the_sample_has_its_own_name() -> None:
    assert load_dataset(examples=10).name == "qa-eval-sample-10-seed-0"
    assert load_dataset(examples=10, seed=3).name == "qa-eval-sample-10-seed-3"
    assert load_dataset(examples=10, name="mine").name == "mine"


def test_squads_default_hundred_have_the_first_designs_name(tmp_path: Path) -> None:
    questions = [QUESTION | {"id": f"q{i}"} for i in range(120)]
    path = write(tmp_path / "dev-v1.1.json", squad(*questions))
    assert load_dataset(path).name == "squad-qa-evaluation"
    assert load_dataset(path, seed=1).name == "squad-dev-v1.1-100-seed-1"
    assert load_dataset(path, examples=None).name == "squad-dev-v1.1"
    assert {example.metadata["source"] for example in load_dataset(path)} == {"squad"}


def test_a_file_of_ones_own_is_named_after_it(tmp_path: Path) -> None:
    path = write(tmp_path / "my questions.json", squad(QUESTION))
    dataset = load_dataset(path)
    assert (dataset.name, dataset.examples[0].metadata["source"]) == ("my-questions", "my questions.json")


def test_an_unanswerable_question_makes_it_version_2(tmp_path: Path) -> None:
    impossible = QUESTION | {"id": "q2", "is_impossible": True, "plausible_answers": QUESTION["answers"]}
    dataset = load_dataset(write(tmp_path / "x.json", squad(QUESTION, impossible)))
    assert dataset.version == "2.0"
    assert {example.id: example.references for example in dataset} == {"q1": ("Ada",), "q2": ()}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[1, 2]", "is broken at element 1"),
        ({"data": []}, "holds no questions"),
        (squad(QUESTION, {"id": "q2", "answers": []}), r"data\[0\].paragraphs\[0\].qas\[1\].question: Field required"),
        (squad(QUESTION | {"answers": []}), r"qas\[0\]: an answerable question has no answers"),
        (squad(QUESTION | {"question": "  "}), "the question is blank"),
        (
            squad(QUESTION, QUESTION | {"question": "What?"}),
            r"holds the id 'q1' twice with different content \(question 1 and question 2\)",
        ),
        (squad(QUESTION | {"answers": [{"text": "Ada", "answer_start": -1}]}), "answer_start"),
    ],
)
def test_broken_files_are_named_with_the_place(tmp_path: Path, content: Any, sentence: str) -> None:
    path = write(tmp_path / "broken.json", content)
    with pytest.raises(DatasetError, match=sentence) as caught:
        load_dataset(path)
    assert "\n" not in str(caught.value)


def test_no_file_and_nothing_asked(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no dataset file"):
        load_dataset(tmp_path / "nothing.json")
    with pytest.raises(DatasetError, match="is a folder"):
        load_dataset(tmp_path)
    with pytest.raises(InputError, match="`examples` is 0: must be a positive integer or `all`"):
        load_dataset(examples=0)


def example(i: int, context: str) -> Example:
    return Example(str(i), "?", context, ("x",), "T")


@given(
    contexts=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60),
    seed=st.integers(0, 5),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
@settings(max_examples=200)
def test_a_smaller_subset_is_a_prefix_and_repeats_no_context_early(
    contexts: list[str], seed: int, sizes: tuple[int, int]
) -> None:
    examples = [example(i, context) for i, context in enumerate(contexts)]
    small, large = (take(examples, size, seed=seed) for size in sorted(sizes))
    assert large[: len(small)] == small
    assert take(reversed(examples), max(sizes), seed=seed) == large
    if len(small) <= len(set(contexts)):
        assert len({chosen.context for chosen in small}) == len(small)


def test_the_order_is_the_same_on_every_machine() -> None:
    chosen = take([example(i, str(i)) for i in range(10)], 5, seed=0)
    assert [one.id for one in chosen] == ["8", "1", "4", "9", "5"]


def first_designs_order(examples: list[Example], seed: int, by: str) -> list[Example]:
    """The order as it was first written, example by example: runs and Phoenix datasets rest on it."""

    def place(e: Example) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}\x00{e.id}".encode()).digest(), e.id

    kind = {"none": lambda e: "", "group": lambda e: e.group, "difficulty": lambda e: e.metadata["difficulty"]}[by]
    seen: Counter[str] = Counter()
    rounds: dict[int, list[Example]] = {}
    for e in sorted(examples, key=place):
        rounds.setdefault(seen[e.context], []).append(e)
        seen[e.context] += 1
    ordered = []
    for turn in sorted(rounds):
        sizes, taken = Counter(map(kind, rounds[turn])), Counter()
        places = []
        for position, e in enumerate(rounds[turn]):
            taken[kind(e)] += 1
            places.append(((2 * taken[kind(e)] - 1) / (2 * sizes[kind(e)]), position))
        ordered += [rounds[turn][position] for _, position in sorted(places)]
    return ordered


@given(letters=st.lists(st.sampled_from("aaabc"), min_size=1, max_size=60), seed=st.integers(0, 9), data=st.data())
@settings(max_examples=200)
def test_the_order_is_that_of_the_first_design(letters: list[str], seed: int, data: st.DataObject) -> None:
    """Feature: litellm-ecs-demo, Property: the same seed takes the same examples as in every earlier version."""
    contexts = data.draw(st.lists(st.sampled_from("uvwxyz"), min_size=len(letters), max_size=len(letters)))
    examples = [
        Example(str(i), "?", context, ("x",), f"Article {letter}", {"difficulty": letter})
        for i, (letter, context) in enumerate(zip(letters, contexts, strict=True))
    ]
    for by in ("none", "group", "difficulty"):
        expected = first_designs_order(examples, seed, by)
        assert list(take(examples, len(examples), seed=seed, stratify_by=by)) == expected


@given(
    contexts=st.lists(st.sampled_from("uvw") | st.just(""), min_size=1, max_size=40),
    count=st.integers(1, 40),
    by=st.sampled_from(("none", "group", "tier")),
    most=st.integers(0, 40),
)
@settings(max_examples=150, deadline=None)
def test_what_is_kept_while_reading_changes_nothing(contexts: list[str], count: int, by: str, most: int) -> None:
    """Feature: litellm-ecs-demo, Property: a subset is the same, whatever of it was kept or read again."""
    rows = [
        {"id": str(i), "question": f"{i}?", "context": context, "group": f"g{i % 5}", "tier": i % 3}
        for i, context in enumerate(contexts)
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = write(Path(folder) / "q.json", rows)
        everything = load_dataset(path, examples="all").examples
        patch.setattr("qa_eval.data.load.MOST_KEPT", most)
        assert load_dataset(path, examples=count, stratify_by=by).examples == take(
            everything, count, seed=0, stratify_by=by
        )


def test_examples_without_a_context_keep_their_strata() -> None:
    examples = [Example(str(i), "?", metadata={"tier": "gold" if i % 4 == 0 else "free"}) for i in range(80)]
    chosen = take(examples, 20, seed=0, stratify_by="tier")
    assert sum(e.metadata["tier"] == "gold" for e in chosen) == 5


def test_difficulty_follows_its_rule() -> None:
    context = "The Danube rises in the Black Forest."
    assert derive_difficulty("Where does the Danube rise?", context, ["Black Forest"]) == "easy"
    assert derive_difficulty("Why does the Danube rise?", context, ["Black Forest"]) == "medium"
    assert derive_difficulty("How long is the Danube?", context, ["Black Forest"]) == "easy"
    assert derive_difficulty("How come cats purr loudly?", context, ["one two three four five"]) == "hard"
    assert derive_difficulty("Where does the Danube rise?", context, []) == "hard"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("[]", "is not a predictions file"), ("{", "is not JSON"), ('{"a": null}', "prediction for 'a'")],
)
def test_predictions_that_are_none(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_predictions(write(tmp_path / "p.json", content))
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions(tmp_path / "none.json")


def test_predictions(tmp_path: Path) -> None:
    assert read_predictions(write(tmp_path / "p.json", {"q1": "Ada"})) == {"q1": "Ada"}


def kinds(i: int, kind: str) -> Example:
    difficulty = {"a": "easy", "b": "medium", "c": "hard"}[kind]
    return Example(str(i), "Who?", f"context {i}", ("x",), f"Article {kind}", {"difficulty": difficulty})


@given(letters=st.lists(st.sampled_from("aaabc"), min_size=4, max_size=80), seed=st.integers(0, 3), data=st.data())
@settings(max_examples=150)
def test_every_prefix_of_a_stratified_order_holds_each_kind_in_its_share(
    letters: list[str], seed: int, data: st.DataObject
) -> None:
    examples = [kinds(i, letter) for i, letter in enumerate(letters)]
    size = data.draw(st.integers(1, len(letters)))
    for by in ("difficulty", "article", "group"):
        chosen = take(examples, size, seed=seed, stratify_by=by)
        assert take(examples, len(letters), seed=seed, stratify_by=by)[:size] == chosen
        for letter in set(letters):
            share = letters.count(letter) / len(letters)
            taken = sum(example.group == f"Article {letter}" for example in chosen)
            assert abs(taken - share * size) <= 1.5


def test_a_stratified_subset_has_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.json", squad(*(QUESTION | {"id": f"q{i}"} for i in range(20))))
    assert load_dataset(path, examples=5, stratify_by="question-type").name == "mine-5-seed-0-by-question-type"
    with pytest.raises(InputError, match=r"`stratify_by` cannot be 'colour' .* none, group, question-type, difficulty"):
        load_dataset(path, stratify_by="colour")
