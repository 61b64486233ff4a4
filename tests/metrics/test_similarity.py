"""Semantic similarity: its rules for blank, identical and near texts, and that it is the best cosine, once a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qa_eval.embedding import Vectors, default_embedder
from qa_eval.errors import InputError
from qa_eval.metrics import similarity
from qa_eval.metrics.similarity import semantic_similarity

ANY = st.one_of(st.text(max_size=30), st.sampled_from(["", " ", "gold", "Gold", "the gold", "1995", "1996", "\ud800"]))


class TableEmbedder:
    """Vectors given in a table; remembers the texts it was asked for."""

    name, dimensions = "table", 3

    def __init__(self, **table: Sequence[float]) -> None:
        self.table = table
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return np.array([self.table[text] for text in texts], np.float32)


class NoEmbedder:
    """Fails where it is used."""

    name, dimensions = "none", 3

    def embed(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError(f"no model was needed for {texts}")


def scored(prediction: str, *references: str) -> float:
    (score,) = semantic_similarity([prediction], [references], default_embedder())
    return score


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        ("", [""], 1.0),
        (" \n", ["", "gold"], 1.0),
        ("", [], 1.0),
        ("gold", [], 0.0),
        ("", ["gold"], 0.0),
        ("gold", [" "], 0.0),
        ("gold", ["silver", "gold"], 1.0),
    ],
)
def test_blank_and_identical_texts_need_no_model(prediction: str, references: list[str], expected: float) -> None:
    assert semantic_similarity([prediction], [references], NoEmbedder()) == [expected]


def test_a_blank_reference_beside_another_does_not_spoil_it() -> None:
    assert scored("silver", "", "gold") == scored("silver", "gold") > 0.3


def test_the_best_reference_counts() -> None:
    table = TableEmbedder(p=[1, 0, 0], far=[0, 1, 0], near=[0.6, 0.8, 0])
    assert semantic_similarity(["p"], [["far", "near"]], table) == [pytest.approx(0.6)]


def test_an_opposite_meaning_is_0_and_not_less() -> None:
    assert semantic_similarity(["p"], [["q"]], TableEmbedder(p=[1, 0, 0], q=[-1, 0, 0])) == [0.0]


@pytest.mark.parametrize("rounded", [np.float32(0.57735026), np.float32(0.57735032)])
def test_equal_vectors_are_1_and_the_nearest_others_are_less(rounded: np.float32) -> None:
    vector = [rounded] * 3  # of length 1 but for rounding: its product with itself is a little less, or more, than 1
    nearest = [rounded, rounded, np.nextafter(rounded, np.float32(1))]
    table = TableEmbedder(p=vector, same=vector, near=nearest)
    same, near = semantic_similarity(["p", "p"], [["same"], ["near"]], table)
    assert same == 1.0
    assert 0.999999 < near < 1.0


def test_case_alone_is_no_difference_to_the_model_but_a_year_is() -> None:
    assert scored("New York", "new york") == 1.0
    assert 0.8 < scored("1995", "1996") < 0.9


def test_a_text_is_embedded_once_however_far_apart_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "_PAIRS_PER_STEP", 2)
    table = TableEmbedder(a=[1, 0, 0], b=[0, 1, 0], c=[0, 0, 1], d=[0.6, 0.8, 0])
    predictions = ["a", "b", "c", "d", "a", "b"]
    references = [["b"], ["a", "c"], ["d"], ["c", "a"], ["d", "d"], ["c"]]
    scores = semantic_similarity(predictions, references, table)
    assert scores == pytest.approx([0.0, 0.0, 0.0, 0.6, 0.6, 0.0])
    assert sorted(table.texts) == ["a", "b", "c", "d"]


def test_scores_are_in_the_order_of_the_predictions() -> None:
    predictions, references = (
        ["gold", "", "a gold medal", "Paris"],
        [["silver"], ["x"], ["gold"], ["the city of Paris", "Rome"]],
    )
    alone = [scored(prediction, *texts) for prediction, texts in zip(predictions, references, strict=True)]
    assert semantic_similarity(predictions, references, default_embedder()) == pytest.approx(alone, abs=1e-6)
    assert semantic_similarity([], [], NoEmbedder()) == []


def test_the_default_is_minilm_with_its_cache_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path))
    similarity._default.cache_clear()
    assert semantic_similarity(["gold"], [["silver"]]) == [scored("gold", "silver")]
    assert (tmp_path / "embeddings" / "vectors.sqlite3").is_file()
    similarity._default.cache_clear()


def test_wrong_arguments_are_said() -> None:
    with pytest.raises(InputError, match="2 predictions and 1 lists"):
        semantic_similarity(["a", "b"], [["a"]], NoEmbedder())
    with pytest.raises(InputError, match="put it in a list"):
        semantic_similarity(["a"], ["a"], NoEmbedder())


@settings(max_examples=100, deadline=None)
@given(ANY, st.lists(ANY, max_size=4))
@example("gold", ["Gold "])
def test_scores_are_bounded(prediction: str, references: list[str]) -> None:
    """Feature: litellm-ecs-demo, Property: a similarity lies in 0..1."""
    assert 0.0 <= scored(prediction, *references) <= 1.0


@settings(max_examples=100, deadline=None)
@given(ANY, st.lists(ANY, max_size=3), st.data())
def test_identical_texts_score_1(prediction: str, others: list[str], data: st.DataObject) -> None:
    """Feature: litellm-ecs-demo, Property: a prediction that is among its references scores exactly 1."""
    place = data.draw(st.integers(0, len(others)))
    assert scored(prediction, *others[:place], prediction, *others[place:]) == 1.0


@settings(max_examples=100, deadline=None)
@given(ANY, st.lists(ANY, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_references_does_not_matter(prediction: str, references: list[str], random) -> None:
    """Feature: litellm-ecs-demo, Property: references in another order give the same similarity."""
    shuffled = random.sample(references, len(references))
    assert scored(prediction, *shuffled) == pytest.approx(scored(prediction, *references), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(ANY, st.lists(ANY, min_size=1, max_size=3), ANY)
def test_an_added_reference_never_lowers(prediction: str, references: list[str], added: str) -> None:
    """Feature: litellm-ecs-demo, Property: one reference more never lowers a similarity."""
    assert scored(prediction, *references, added) >= scored(prediction, *references) - 1e-6


@settings(max_examples=100, deadline=None)
@given(ANY, ANY)
def test_similarity_is_symmetric(one: str, other: str) -> None:
    """Feature: litellm-ecs-demo, Property: prediction and reference exchanged give the same similarity."""
    assert scored(one, other) == pytest.approx(scored(other, one), abs=1e-6)
