"""The ONNX MiniLM: the tokens and vectors that sentence-transformers makes, whatever the company of a text."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.embedding import MiniLM, default_embedder
from qa_eval.embedding import minilm as minilm_module
from qa_eval.embedding.minilm import MAX_TOKENS, build_tokenizer, providers
from qa_eval.embedding.modelfile import find_model_file

SHARED = Path(os.environ.get("QA_EVAL_SHARED_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data")
DEV = SHARED / "squad" / "dev-v1.1.json"

# What all-MiniLM-L6-v2's own tokenizer.json gives, cut at 256 tokens.
TOKENS = {
    "Denver Broncos": [101, 7573, 14169, 102],
    "": [101, 102],
    "24–10": [101, 2484, 1516, 2184, 102],
    "Beyoncé & Jay-Z’s ½": [101, 20773, 1004, 6108, 1011, 1062, 1521, 1055, 1092, 102],
    "日本 Tokyo": [101, 1864, 1876, 5522, 102],
    "a [SEP] b": [101, 1037, 102, 1038, 102],
    "x" * 101: [101, 100, 102],
    "antidisestablishmentarianism\x00 \u200b": [101, 3424, 10521, 4355, 7875, 13602, 3672, 12199, 2964, 102],
}
# SHA-256 over the tokens (int32, little-endian) that it gives for every context, question and reference of the SQuAD
# v1.1 development set, in the file's order.
DEV_TEXTS, DEV_DIGEST = 47_363, "a5c62af3fb2a42b849da21ca66b12cc9f4441a494bad1e941c1edf3d0bf75eee"

# Cosines by sentence-transformers 6.2.0 with the float32 weights.
COSINES = {
    ("1995", "1996"): 0.83514,
    ("Denver Broncos", "the Broncos"): 0.91803,
    ("yes", "no"): 0.73350,
    ("New York", "York New"): 0.95726,
    ("10 million", "100 million"): 0.82825,
    ("Levi's Stadium in the San Francisco Bay Area at Santa Clara, California.", "Santa Clara, California"): 0.39926,
    ("gold", "A cat sat on the mat."): 0.00673,
}
TASKS = Path("/proc/self/task")
MIXED = ["gold", "", "Saint Bernadette Soubirous", "in 1858", "gold", "a statue of the Virgin Mary " * 9, "24–10", "x"]


@pytest.mark.parametrize("text", TOKENS)
def test_tokens_are_the_models_own(text: str) -> None:
    assert build_tokenizer().encode(text).ids == TOKENS[text]


def test_tokens_of_the_development_set_are_the_models_own() -> None:
    if not DEV.is_file():
        pytest.skip(f"no SQuAD development set at {DEV} (set QA_EVAL_SHARED_DATA)")
    tokenizer, digest, count = build_tokenizer(), hashlib.sha256(), 0
    for article in json.loads(DEV.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            answers = [[qa["question"], *(a["text"] for a in qa["answers"])] for qa in paragraph["qas"]]
            for text in [paragraph["context"], *(text for texts in answers for text in texts)]:
                digest.update(np.array(tokenizer.encode(text).ids, "<i4").tobytes())
                count += 1
    assert (count, digest.hexdigest()) == (DEV_TEXTS, DEV_DIGEST)


@pytest.mark.parametrize("pair", COSINES)
def test_cosines_are_those_of_sentence_transformers(minilm: MiniLM, pair: tuple[str, str]) -> None:
    left, right = minilm.embed(pair)
    assert float(left @ right) == pytest.approx(COSINES[pair], abs=0.005)


def test_vectors_are_unit_float32_in_the_order_of_the_texts(minilm: MiniLM) -> None:
    vectors = minilm.embed(MIXED)
    assert vectors.shape == (len(MIXED), minilm.dimensions) == (len(MIXED), 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(MIXED)), abs=1e-6)
    for text, vector in zip(MIXED, vectors, strict=True):
        assert vector == pytest.approx(minilm.embed([text])[0], abs=1e-6)


def test_no_texts_give_no_rows(minilm: MiniLM) -> None:
    assert minilm.embed([]).shape == (0, 384)


def test_what_is_beyond_256_tokens_does_not_count(minilm: MiniLM) -> None:
    fits = MAX_TOKENS - 2  # [CLS] and [SEP]
    long, just, short = minilm.embed(["gold " * 600, "gold " * fits, "gold " * (fits - 1)])
    assert np.array_equal(long, just)
    assert not np.array_equal(just, short)


def test_case_and_outer_space_make_no_difference(minilm: MiniLM) -> None:
    plain, other = minilm.embed(["New York", "  new york "])
    assert np.array_equal(plain, other)


def test_a_lone_surrogate_is_no_error(minilm: MiniLM) -> None:
    assert np.linalg.norm(minilm.embed(["caf\ud800"])) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_no_vector(minilm: MiniLM, threads: int) -> None:
    assert np.allclose(MiniLM(find_model_file(), threads).embed(MIXED), minilm.embed(MIXED), rtol=0, atol=1e-6)


def test_several_threads_may_embed_at_once(minilm: MiniLM) -> None:
    expected = minilm.embed(MIXED)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: minilm.embed(MIXED), range(8)):
            assert np.allclose(vectors, expected, rtol=0, atol=1e-6)


@pytest.mark.skipif(not TASKS.is_dir(), reason="only Linux lists a process's native threads")
def test_no_thread_is_left_to_spin_beside_an_event_loop() -> None:
    before = set(TASKS.iterdir())
    model = MiniLM(find_model_file(), threads=1)  # our own threads end with their work
    model.embed(MIXED)
    assert set(TASKS.iterdir()) <= before


def test_the_default_embedder_is_loaded_once_and_names_its_file(minilm: MiniLM) -> None:
    assert default_embedder() is minilm
    assert minilm.name == "all-MiniLM-L6-v2/onnx-int8@8199be6f"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=12), st.data())
def test_a_vector_does_not_depend_on_its_company(texts: list[str], data: st.DataObject) -> None:
    """Feature: litellm-ecs-demo, Property: a text alone and in any company, in any order, has the same vector."""
    model = default_embedder()
    alone = np.concatenate([model.embed([text]) for text in texts])
    order = data.draw(st.permutations(range(len(texts))))
    together = model.embed([texts[index] for index in order])
    assert np.allclose(together, alone[order], rtol=0, atol=1e-6)


def test_a_gpu_is_used_where_onnx_runtime_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert providers() == ["CPUExecutionProvider"]
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(minilm_module.ort, "get_available_providers", lambda: there)
    assert providers() == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_the_number_of_threads_may_be_given_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert minilm_module._cores() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert minilm_module._cores() >= 1
