"""Any embedder, with its vectors kept on disk: what was embedded once is read the next time.

One SQLite file in the user's cache folder serves all embedders and any number of processes. It holds no texts, only
their SHA-256. It is a cache and nothing more: where it is broken, locked or cannot be written, the vectors are
computed as if there were none, and a warning is logged. It only grows (1.6 KB a text); deleting it is always safe.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np

from qa_eval import paths
from qa_eval.embedding.protocol import Embedder, Vectors

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")

_LOCK_TIMEOUT_S = 5.0
_KEYS_PER_QUERY = 500  # SQLite once allowed 999 parameters
_TEXTS_PER_WRITE = 2_048  # also what a kill may lose


class CachedEmbedder:
    """An embedder that asks the disk first. Equal texts are embedded once. May be used by several threads at once.

    Args:
        embedder: makes the vectors that are not known yet.
        path: the SQLite file; in the user's cache folder by default.
    """

    def __init__(self, embedder: Embedder, path: Path | None = None) -> None:
        self._embedder = embedder
        self._path = path or paths.cache_dir() / "embeddings" / "vectors.sqlite3"
        self._usable = True

    @property
    def name(self) -> str:
        """The name of the embedder within: a cached vector is the vector that it made."""
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._embedder.dimensions

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector a text, in the order of the texts."""
        if not texts:
            return self._embedder.embed(texts)
        keys = {text: self._key(text) for text in texts}
        known = self._read(list(keys.values()))
        missing = [text for text, key in keys.items() if key not in known]
        for part in _parts(missing, _TEXTS_PER_WRITE):
            new = dict(zip((keys[text] for text in part), self._embedder.embed(part), strict=True))
            self._write(new)
            known.update(new)
        return np.stack([known[keys[text]] for text in texts])

    def _key(self, text: str) -> bytes:
        digest = hashlib.sha256(self.name.encode() + b"\0")
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        found: dict[bytes, Vectors] = {}
        if not self._usable:
            return found
        try:
            with closing(self._connect()) as connection:
                for part in _parts(keys, _KEYS_PER_QUERY):
                    marks = ",".join("?" * len(part))
                    rows = connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)  # noqa: S608
                    found.update((key, np.frombuffer(blob, "<f4")) for key, blob in rows if self._is_sound(blob))
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        return found

    def _write(self, vectors: Mapping[bytes, Vectors]) -> None:
        if not self._usable:
            return
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]
        try:
            with closing(self._connect()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _connect(self) -> sqlite3.Connection:
        # A connection for each call: none is shared between threads or survives a fork.
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_S)
        try:
            # Processes that write at the same time do not make readers wait.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _is_sound(self, blob: object) -> bool:
        """Whether it can be what was written: a damaged row is embedded anew."""
        if not isinstance(blob, bytes) or len(blob) != 4 * self.dimensions:
            return False
        with np.errstate(all="ignore"):
            return bool(abs(np.linalg.norm(np.frombuffer(blob, "<f4")) - 1.0) < 1e-3)

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        _log.warning("The embeddings are computed without their cache %s (%s).", self._path, error)


def _parts(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
