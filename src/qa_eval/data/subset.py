"""Which examples are asked: the same ones on every machine, a smaller subset a prefix of a larger one.

Every example has a place in one total order that depends on the seed, the ids and the strata alone; a subset of n is
its first n. The order spreads over contexts first: no context comes a second time before every context has come once
(an example without a context counts as one of its own). Within that, a stratified order gives each stratum its share
in every prefix, as evenly as whole numbers allow.

Of each example an `Index` keeps digests only, under 60 bytes, so that a subset of a large file is taken without
holding the file.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from qa_eval.data.examples import Example
from qa_eval.data.identity import digest
from qa_eval.data.questions import question_type
from qa_eval.data.sources.base import Draft, Found
from qa_eval.data.values import text_of

STRATA = ("none", "group", "question-type")
"""What any dataset can be stratified by; besides, by a column of its metadata, such as `difficulty`."""
_ALIASES = {"article": "group"}
Positions = npt.NDArray[np.int64]


def canonical_stratum(stratify_by: str) -> str:
    """The name of today for a name of yesterday."""
    return _ALIASES.get(stratify_by, stratify_by)


class Index:
    """What the order needs to know of each example, and what tells equal examples."""

    def __init__(self, seed: int, stratify_by: str = "none") -> None:
        self._seed = f"{seed}\x00"
        self._stratum = _stratum(canonical_stratum(stratify_by))
        self._orders = bytearray()
        self._contents = bytearray()
        # Only compared within this process, for which Python's own hash is enough, and the fastest.
        self._contexts = array("q")
        self._strata = array("q")
        self._places = array("q")

    def __len__(self) -> int:
        return len(self._places)

    def add(self, found: Found) -> bytes:
        """Take an example into account; they come in the order of their positions.

        Returns:
            What it is ordered by; the smallest come first.
        """
        draft = found.draft
        # Not `random`: its shuffle has changed between Python versions, SHA-256 has not.
        text = f"{self._seed}{draft.id}"
        order = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
        self._orders += order
        self._contexts.append(hash(draft.context or order))
        self._contents += found.content[:16]
        if self._stratum is not None:
            self._strata.append(hash(self._stratum(draft)))
        self._places.append(found.place)
        return order

    def repeated(self) -> tuple[Positions, tuple[int, int] | None]:
        """The positions of examples that equal an earlier one, and the first two that have one id but differ."""
        shuffled, orders, contents = self._shuffled(), _words(self._orders, 2), _words(self._contents, 2)
        after, before = shuffled[1:], shuffled[:-1]
        same_id = (orders[after] == orders[before]).all(axis=1)
        after, before = after[same_id], before[same_id]
        differ = (contents[after] != contents[before]).any(axis=1)
        if differ.any():
            first = int(np.argmin(np.where(differ, after, len(self))))
            return np.sort(after), (int(before[first]), int(after[first]))
        return np.sort(after), None

    def place(self, position: int) -> int:
        """Where the example at a position is in its source."""
        return self._places[position]

    def content(self, position: int) -> bytes:
        """The beginning of the digest of its content."""
        return bytes(self._contents[16 * position : 16 * position + 16])

    def order(self, without: Positions | None = None) -> Positions:
        """All positions, or all without some, in the order of which a subset is a prefix."""
        shuffled = self._shuffled()
        if without is not None and len(without):
            shuffled = shuffled[~np.isin(shuffled, without)]
        contexts = np.array(self._contexts)[shuffled]
        rounds = _running_count(contexts)
        if self._stratum is None:
            return shuffled[np.argsort(rounds, kind="stable")]
        # The k-th of a stratum's n examples in a round comes at (k - 1/2) / n of the round.
        strata = _codes(np.array(self._strata)[shuffled])
        cells = _codes(rounds * (int(strata.max(initial=0)) + 1) + strata)
        sizes = np.bincount(cells, minlength=1)
        fractions = (2 * _running_count(cells) + 1) / (2 * sizes[cells])
        return shuffled[np.lexsort((fractions, rounds))]

    def _shuffled(self) -> Positions:
        orders = _words(self._orders, 2)
        return np.lexsort((orders[:, 1], orders[:, 0]))


class Shortlist:
    """The examples that come first in the order, and so most likely in a subset, by position."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[tuple[bytes, int, Found]] = []
        self._last = b"\xff" * 17 if size else b""
        """What comes after this is not among the first."""

    def offer(self, order: bytes, position: int, found: Found) -> None:
        """Keep the example, if it may be among the first."""
        if order < self._last:
            self._kept.append((order, position, found))
            if len(self._kept) >= 2 * self._size:
                self._kept = sorted(self._kept, key=itemgetter(0, 1))[: self._size]
                self._last = self._kept[-1][0]

    def founds(self) -> dict[int, Found]:
        """What was kept."""
        return {position: found for _, position, found in self._kept}


def take(examples: Iterable[Example], count: int, *, seed: int, stratify_by: str = "none") -> tuple[Example, ...]:
    """The first `count` examples in the order of `seed`; all of them, in that order, where there are fewer."""
    given = tuple(examples)
    index = Index(seed, stratify_by)
    for position, e in enumerate(given, start=1):
        draft = Draft(e.id, e.question, e.context, e.references, e.group, e.metadata)
        index.add(Found(position, draft, digest(e.id)))
    return tuple(given[position] for position in index.order()[:count])


def _stratum(stratify_by: str) -> Callable[[Draft], str] | None:
    if stratify_by == "none":
        return None
    if stratify_by == "group":
        return lambda draft: draft.example().group
    if stratify_by == "question-type":
        return lambda draft: question_type(draft.question)
    return lambda draft: _text(draft.metadata.get(stratify_by))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, list | tuple | dict) else text_of(value, "column")


def _words(content: bytearray, columns: int) -> npt.NDArray[np.uint64]:
    """Digests as rows of 8-byte numbers whose order is that of the bytes."""
    return np.frombuffer(bytes(content), dtype=">u8").astype(np.uint64).reshape(-1, columns)


def _codes(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Small numbers in place of values: equal for equal ones."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _running_count(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """How often each value came before."""
    ranked = np.argsort(values, kind="stable")
    ordered = values[ranked]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.zeros(0, np.int64)
    lengths = np.diff(np.r_[starts, len(ordered)])
    counts = np.empty(len(values), np.int64)
    counts[ranked] = np.arange(len(values)) - np.repeat(starts, lengths)
    return counts
