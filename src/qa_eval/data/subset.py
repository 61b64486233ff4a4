"""Which examples are asked: the same ones on every machine, a smaller subset a prefix of a larger one.

Every example has a place in one total order that depends on the seed, the ids and the strata alone; a subset of n is
its first n. The order spreads over contexts first: no context comes a second time before every context has come once.
Within that, a stratified order gives each stratum its share in every prefix, as evenly as whole numbers allow.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, get_args

from qa_eval.data.examples import Example
from qa_eval.data.questions import question_type

StratifyBy = Literal["none", "difficulty", "article", "question-type"]
STRATIFY_BY: tuple[str, ...] = get_args(StratifyBy)

_STRATUM: dict[str, Callable[[Example], str]] = {
    "none": lambda example: "",
    "difficulty": lambda example: str(example.metadata.get("difficulty", "")),
    "article": lambda example: example.group,
    "question-type": lambda example: question_type(example.question),
}


def take(
    examples: Iterable[Example], count: int, *, seed: int, stratify_by: StratifyBy = "none"
) -> tuple[Example, ...]:
    """The first `count` examples in the order of `seed`; all of them, in that order, where there are fewer."""
    return tuple(_ordered(examples, seed, _STRATUM[stratify_by])[:count])


def _ordered(examples: Iterable[Example], seed: int, stratum: Callable[[Example], str]) -> list[Example]:
    shuffled = sorted(examples, key=lambda example: (_hash(seed, example.id), example.id))
    seen: Counter[str] = Counter()
    rounds: dict[int, list[Example]] = {}
    for example in shuffled:
        rounds.setdefault(seen[example.context], []).append(example)
        seen[example.context] += 1
    return [example for turn in sorted(rounds) for example in _evenly(rounds[turn], stratum)]


def _evenly(examples: Sequence[Example], stratum: Callable[[Example], str]) -> list[Example]:
    """Interleave the strata: the k-th of a stratum's n examples comes at (k - 1/2) / n of the whole."""
    sizes = Counter(map(stratum, examples))
    taken: Counter[str] = Counter()
    places = []
    for position, example in enumerate(examples):
        kind = stratum(example)
        taken[kind] += 1
        places.append(((2 * taken[kind] - 1) / (2 * sizes[kind]), position))
    return [examples[position] for _, position in (sorted(places) if len(sizes) > 1 else places)]


def _hash(seed: int, identifier: str) -> bytes:
    # Not `random`: its shuffle has changed between Python versions, SHA-256 has not.
    return hashlib.sha256(f"{seed}\x00{identifier}".encode("utf-8", "surrogatepass")).digest()
