"""What an example is: the types that travel from this room to all others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from qa_eval.data.identity import content_text, digest, group_of_context
from qa_eval.words import counted

Difficulty = Literal["easy", "medium", "hard"]
SquadVersion = Literal["1.1", "2.0"]
FIELD_NAME = re.compile(r"[^\W\d][\w .-]*")
"""What a prompt may name in braces: a letter or `_`, then letters, digits, spaces, `_`, `.` and `-`."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question, with what is known about it."""

    id: str
    """Stable and unique within a dataset; Phoenix knows the example by it."""
    question: str
    context: str = ""
    """The text that holds the answer; empty where the data has none."""
    references: tuple[str, ...] = ()
    """Accepted answers. None: the question is unanswerable (in a dataset of version 2.0) or unlabelled (else)."""
    group: str = ""
    """What examples share that are not independent (an article, a customer); statistics resample groups. Where it is
    left empty, examples with the same context form a group, and an example without a context is its own."""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """All other columns, as JSON values; for example `difficulty` and `source` of SQuAD's questions."""

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", group_of_context(self.context) if self.context else self.id)


@dataclass(frozen=True, slots=True)
class PhoenixOrigin:
    """Where a dataset is in Phoenix, if it is used where it is."""

    dataset_id: str
    version_id: str
    node_ids: Mapping[str, str]
    """Phoenix's id of each example, by ours."""


@dataclass(frozen=True)
class Dataset:
    """Examples under the name that Phoenix shows."""

    name: str
    examples: tuple[Example, ...]
    version: SquadVersion = "1.1"
    """Which official script scores it; in `2.0`, an example without references is unanswerable."""
    description: str = ""
    notes: tuple[str, ...] = ()
    """What the user should know about how it was read, a line each."""
    origin: PhoenixOrigin | None = None
    """Set for a dataset that is used where it is in Phoenix: nothing of it is uploaded."""
    named: bool = False
    """Whether the user chose the name."""

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.size})"

    @property
    def size(self) -> str:
        """The number of examples and of their groups, in words."""
        examples, groups = len(self), len({example.group for example in self.examples})
        scored = ", scored as SQuAD v2.0" if self.version == "2.0" else ""
        return f"{counted(examples, 'example')} in {counted(groups, 'group')}{scored}"

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """What a prompt can name in braces: `question`, `context` if an example has one, and columns of metadata."""
        columns = dict.fromkeys(name for example in self.examples for name in example.metadata)
        usable = [name for name in columns if FIELD_NAME.fullmatch(name) and name not in ("question", "context")]
        context = ["context"] if any(example.context for example in self.examples) else []
        return ("question", *context, *usable)

    def has_references(self, example: Example) -> bool:
        """Whether an answer to the example can be compared with references; in version 2.0, "none" is one."""
        return self.version == "2.0" or bool(example.references)

    @property
    def labelled(self) -> int:
        """The number of examples that have references."""
        return sum(map(self.has_references, self.examples))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of ids and content, in hex; neither the order nor the dataset's name and place count."""
        marks = sorted(
            digest(f"{e.id}\x00{content_text(e.question, e.context, e.references, e.group, e.metadata)}")
            for e in self.examples
        )
        return hashlib.sha256(b"".join(marks)).hexdigest()
