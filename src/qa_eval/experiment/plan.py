"""What a run does, fixed before it starts and kept with it."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from qa_eval.data.examples import Dataset, Example

SCORES = ("exact_match", "f1", "semantic_similarity")
"""The evaluations of every run, as Phoenix names them."""


@dataclass(frozen=True)
class Settings:
    """What decides the answers of a run; stored with the run and in the Phoenix experiment's metadata."""

    models: tuple[str, ...]
    prompt: str
    temperature: float = 0.0
    max_tokens: int = 32
    """Answers are short spans; a longer answer is cut, which its scores show."""
    concurrency: int = 8
    timeout_s: float = 120.0
    max_errors: float = 0.1
    """The share of questions that may fail before the run stops."""
    gateway: str = ""
    similarity: str = "minilm"
    """Which embedder scores the semantic similarity: what was asked for, then, once it is loaded, its full name."""
    facts: bool = False
    """Whether Phoenix also gets the facts that explain a score."""

    def to_json(self) -> dict[str, Any]:
        """As the journal and Phoenix store it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Task:
    """One question for one model."""

    model: str
    example: Example


@dataclass(frozen=True)
class Plan:
    """A run: which questions go to which models, in which order."""

    run_id: str
    dataset: Dataset
    settings: Settings

    def tasks(self) -> list[Task]:
        """All questions, the models taking turns, so that drift hits all alike."""
        return [Task(model, example) for example in self.dataset for model in self.settings.models]


def new_run_id() -> str:
    """A run's id: readable, sorted by time, unique."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
