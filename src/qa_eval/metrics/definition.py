"""What is known of a metric without computing it: how it is named and read, what it needs, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Need(StrEnum):
    """What a metric needs besides the answer; an example without it has no such score."""

    REFERENCES = "references"
    CONTEXT = "context"
    EMBEDDINGS = "embeddings"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric of a run."""

    name: str
    title: str = ""
    """What tables show; the name where it is empty."""
    higher_is_better: bool = True
    range: tuple[float, float] | None = None
    """The lowest and the highest possible value; None where they are not known."""
    needs: frozenset[Need] = frozenset()
    source: Literal["code", "judge"] = "code"
    unanswered: float | None = None
    """What a question without an answer scores; None where it has no score."""
    scores_unanswerable: bool = False
    """Whether SQuAD v2.0's questions without a right answer have this score."""

    @property
    def label(self) -> str:
        """What tables show."""
        return self.title or self.name

    @property
    def is_share(self) -> bool:
        """Whether its values go from 0 to 1, so that tables may show them in points of 100."""
        return self.range == (0.0, 1.0)
