"""all-MiniLM-L6-v2 (Apache-2.0) through ONNX Runtime: texts in, unit vectors of 384 numbers out.

What it computes is what sentence-transformers computes for this model: lower-cased WordPiece tokens, at most 256 of
them with `[CLS]` and `[SEP]`, the mean of the token vectors, scaled to length 1. `vocab.txt` beside this file is the
vocabulary of BERT base uncased (Devlin et al., 2018, Apache-2.0).

How it gets its speed (`benchmarks/similarity.py`):

* Only texts of equal token length share a batch. Nothing is padded, and a text's vector does not depend on its
  company, not even in the last bit.
* Every core runs batches of its own in a single-threaded session call. ONNX Runtime's own threads are slower on
  short texts, and spin between calls, which would starve an event loop beside them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from qa_eval.embedding.modelfile import ModelFile, find_model_file
from qa_eval.embedding.protocol import Vectors, unit

DIMENSIONS = 384
MAX_TOKENS = 256
"""`max_seq_length` of the model's sentence_bert_config.json (its tokenizer.json says 128, which is not used)."""

_TOKENS_PER_BATCH = 384  # large enough for fast matrix products, small enough for their results to stay in the cache
_MAX_THREADS = 8  # more would only cost memory: short texts come in few batches

_Tokens = NDArray[np.int64]


class MiniLM:
    """The model, loaded and ready. May be used by several threads at once.

    Args:
        file: the checked ONNX file.
        threads: how many batches run at the same time; all cores by default, or as many as `OMP_NUM_THREADS` says,
            which Ray sets for its workers.
    """

    def __init__(self, file: ModelFile, threads: int | None = None) -> None:
        self.name = file.name
        self.dimensions = DIMENSIONS
        self._threads = threads or min(_cores(), _MAX_THREADS)
        self._tokenizer = build_tokenizer()
        self._session = _open_session(file.path)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, shape (texts, 384); what is beyond a text's 256th token does not count."""
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        tokens = [self._tokens(text) for text in texts]
        batches = _batches(tokens)

        def run(batch: Sequence[int]) -> None:
            vectors[batch] = self._run(np.stack([tokens[index] for index in batch]))

        if len(batches) > 1 and self._threads > 1:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(run, batches))
        else:
            for batch in batches:
                run(batch)
        return vectors

    def _tokens(self, text: str) -> _Tokens:
        # One by one: encode_batch starts threads of its own, which then make every fork print a warning. A lone
        # surrogate, which JSON can hold, is no valid UTF-8.
        return np.array(self._tokenizer.encode(text.encode("utf-8", "replace").decode()).ids, np.int64)

    def _run(self, tokens: _Tokens) -> Vectors:
        feed = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        states: NDArray[np.float32] = self._session.run(None, feed)[0]
        return unit(states.mean(axis=1))


@cache
def default_embedder() -> MiniLM:
    """The MiniLM of this machine, loaded when it is first asked for and then kept.

    Raises:
        InputError: the model file is missing and cannot be downloaded, or is not the expected one.
    """
    return MiniLM(find_model_file())


def build_tokenizer() -> Tokenizer:
    """BERT's uncased WordPiece tokenizer, cutting at 256 tokens and never padding."""
    vocabulary = Path(__file__).with_name("vocab.txt")
    tokenizer = Tokenizer(WordPiece.from_file(str(vocabulary), unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _open_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The fused form of this one takes 12 % of the whole time, and its two parts 3 %.
    slow = ["SkipLayerNormFusion"]
    return ort.InferenceSession(str(path), options, providers=providers(), disabled_optimizers=slow)


def providers() -> list[str]:
    """ONNX Runtime's execution providers to be tried in turn: a GPU's where its wheel is installed, then the CPU."""
    there = ort.get_available_providers()
    return [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in there]


def _batches(tokens: Sequence[_Tokens]) -> list[list[int]]:
    """The indices of the texts, grouped by equal length, longest first, so that no core ends with a long one."""
    batches: list[list[int]] = []
    length = 0
    for index in sorted(range(len(tokens)), key=lambda index: -len(tokens[index])):
        full = bool(batches) and (len(batches[-1]) + 1) * length > _TOKENS_PER_BATCH
        if len(tokens[index]) != length or full:
            batches.append([])
        length = len(tokens[index])
        batches[-1].append(index)
    return batches


def _cores() -> int:
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        return max(1, int(given))
    if hasattr(os, "sched_getaffinity"):  # Linux: the cores that this process may use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
