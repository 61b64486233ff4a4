"""The cache on disk: nothing is embedded twice, and nothing that happens to the file breaks a score."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qa_eval.embedding import CachedEmbedder, MiniLM, Vectors, cache

TEXTS = ["gold", "silver", "gold", "", "caf\ud800", "in 1858"]


@pytest.fixture
def file(cache_folder: Path) -> Path:
    return cache_folder / "embeddings" / "vectors.sqlite3"


def test_a_known_text_needs_no_model_call(counting, file: Path) -> None:
    first, second = counting(), counting()
    expected = first.embed(TEXTS)
    assert np.array_equal(CachedEmbedder(first).embed(TEXTS), expected)
    assert np.array_equal(CachedEmbedder(second).embed(list(reversed(TEXTS))), expected[::-1])
    assert second.calls == []
    assert file.is_file()


def test_only_what_is_not_known_is_embedded_and_each_text_once(counting) -> None:
    embedder = counting()
    cached = CachedEmbedder(embedder)
    cached.embed(["gold", "silver"])
    assert np.array_equal(cached.embed(["bronze", "gold", "bronze"]), counting().embed(["bronze", "gold", "bronze"]))
    assert embedder.calls == [["gold", "silver"], ["bronze"]]


def test_vectors_of_different_embedders_are_kept_apart(counting) -> None:
    one, other = counting("one"), counting("other")
    CachedEmbedder(one).embed(["gold"])
    assert np.array_equal(CachedEmbedder(other).embed(["gold"]), counting("other").embed(["gold"]))
    assert CachedEmbedder(one).name == "one"


def test_the_file_holds_no_texts(counting, file: Path) -> None:
    CachedEmbedder(counting()).embed(["a secret answer"])
    assert b"secret" not in file.read_bytes()


def test_no_texts_give_no_rows(counting) -> None:
    assert CachedEmbedder(counting()).embed([]).shape == (0, 8)


def test_the_real_model_gets_its_bits_back(minilm: MiniLM) -> None:
    cached = CachedEmbedder(minilm)
    assert np.array_equal(cached.embed(["gold", "silver"]), CachedEmbedder(minilm).embed(["gold", "silver"]))
    assert cached.dimensions == 384


def test_what_was_embedded_before_a_failure_is_kept(counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_TEXTS_PER_WRITE", 2)

    class Failing(counting):
        def embed(self, texts: Sequence[str]) -> Vectors:
            if "third" in texts:
                raise ConnectionError
            return super().embed(texts)

    with pytest.raises(ConnectionError):
        CachedEmbedder(Failing()).embed(["first", "second", "third", "fourth"])
    later = counting()
    CachedEmbedder(later).embed(["first", "second", "third", "fourth"])
    assert later.texts == ["third", "fourth"]


def corrupt(path: Path) -> None:
    path.write_bytes(b"this was a database once, and is none any more" * 200)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_table(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE vectors (something INTEGER)")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def no_folder_possible(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file where the folder should be")


@pytest.mark.parametrize("damage", [corrupt, cut_off, another_table, a_folder, no_folder_possible])
def test_a_broken_cache_is_bypassed_with_one_warning(
    counting, file: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    CachedEmbedder(counting()).embed([f"{number}" for number in range(50)])
    damage(file)
    cached = CachedEmbedder(counting())
    for _ in range(2):
        assert np.array_equal(cached.embed(TEXTS), counting().embed(TEXTS))
    assert [(r.levelno, str(file) in r.getMessage()) for r in caplog.records] == [(logging.WARNING, True)]


def test_a_locked_cache_is_bypassed_with_a_warning(
    counting, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache, "_LOCK_TIMEOUT_S", 0.05)
    CachedEmbedder(counting()).embed(["gold"])
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert np.array_equal(CachedEmbedder(counting()).embed(TEXTS), counting().embed(TEXTS))
    assert "locked" in caplog.text


@pytest.mark.parametrize("vector", [None, "text", b"", b"123", b"\0" * 32, b"\xff" * 32, b"\1" * 64])
def test_a_damaged_row_is_embedded_anew_and_mended(counting, file: Path, vector: object) -> None:
    CachedEmbedder(counting()).embed(["gold", "silver"])
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE vectors SET vector = ?", (vector,))
    mending, after = counting(), counting()
    assert np.array_equal(CachedEmbedder(mending).embed(["gold", "silver"]), counting().embed(["gold", "silver"]))
    assert mending.texts == ["gold", "silver"]
    CachedEmbedder(after).embed(["gold", "silver"])
    assert after.texts == []


WRITER = """
import logging, sys
import numpy as np
from qa_eval.embedding.cache import CachedEmbedder

class Embedder:
    name, dimensions = "shared", 4
    def embed(self, texts):
        vectors = np.zeros((len(texts), 4), np.float32)
        vectors[np.arange(len(texts)), [int(text) % 4 for text in texts]] = 1
        return vectors

logging.basicConfig(stream=sys.stdout)
first = int(sys.argv[1])
for start in range(first, first + 200, 10):
    texts = [str(number) for number in range(start, start + 20)]
    assert (CachedEmbedder(Embedder()).embed(texts) == Embedder().embed(texts)).all()
"""


def test_several_processes_share_one_file(file: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", WRITER]
    writers = [
        subprocess.Popen([*command, str(50 * number)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for number in range(4)
    ]
    assert [(writer.communicate(timeout=60)[0], writer.returncode) for writer in writers] == [("", 0)] * 4
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (150 + 210,)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(max_size=10), max_size=6), max_size=5))
def test_a_cached_embedder_is_its_embedder(counting, calls: list[list[str]]) -> None:
    """Feature: litellm-ecs-demo, Property: with the cache, any calls give the vectors they give without it."""
    cached = CachedEmbedder(counting())
    for texts in calls:
        assert np.array_equal(cached.embed(texts), counting().embed(texts))
