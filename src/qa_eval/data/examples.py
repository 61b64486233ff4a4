"""What a question is: the types that travel from this room to all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Difficulty = Literal["easy", "medium", "hard"]
SquadVersion = Literal["1.1", "2.0"]


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the context that answers it and the answers a reader would accept."""

    id: str
    """Stable and unique within a dataset; Phoenix knows the example by it."""
    question: str
    context: str
    references: tuple[str, ...]
    """Accepted answers, spans of the context; none where the question is unanswerable (SQuAD v2.0)."""
    title: str
    """The article that the context is from: examples of one article are not independent."""
    source: str
    """Where the example comes from: `qa-eval-sample`, `squad`, or the file's name."""
    difficulty: Difficulty


@dataclass(frozen=True)
class Dataset:
    """Examples under the name that Phoenix shows."""

    name: str
    version: SquadVersion
    """Which official script scores it; `2.0` where some question is unanswerable."""
    examples: tuple[Example, ...]
    description: str = ""

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        articles = len({example.title for example in self.examples})
        return f"Dataset({self.name!r}, {len(self)} examples from {articles} articles, SQuAD v{self.version})"
