"""Which examples are asked: the same ones on every machine, a smaller subset a prefix of a larger one.

Every example has a place in one total order that depends on the seed and the ids alone; a subset of n is its
first n. The order spreads over contexts first: no context comes a second time before every context has come
once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from qa_eval.data.examples import Example


def take(examples: Iterable[Example], count: int, *, seed: int) -> tuple[Example, ...]:
    """The first `count` examples in the order of `seed`; all of them, in that order, where there are fewer."""
    return tuple(_ordered(examples, seed)[:count])


def _ordered(examples: Iterable[Example], seed: int) -> list[Example]:
    shuffled = sorted(examples, key=lambda example: (_hash(seed, example.id), example.id))
    seen: Counter[str] = Counter()
    ranked = []
    for position, example in enumerate(shuffled):
        ranked.append((seen[example.context], position, example))
        seen[example.context] += 1
    return [example for *_, example in sorted(ranked, key=lambda entry: entry[:2])]


def _hash(seed: int, identifier: str) -> bytes:
    # Not `random`: its shuffle has changed between Python versions, SHA-256 has not.
    return hashlib.sha256(f"{seed}\x00{identifier}".encode("utf-8", "surrogatepass")).digest()
