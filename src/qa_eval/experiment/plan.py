"""What a run does, fixed before it starts and kept with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
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
    """Empty where an own task is asked, which gets the example itself."""
    temperature: float = 0.0
    max_tokens: int = 32
    """Answers are short spans; a longer answer is cut, which its scores show."""
    repeat: int = 1
    """How many times each question is asked of each model."""
    concurrency: int | None = None
    """How many questions are under way at once; None adapts to the gateway."""
    timeout_s: float = 120.0
    max_errors: float = 0.1
    """The share of questions that may fail before the run stops."""
    max_cost: float | None = None
    """US dollars."""
    max_time_s: float | None = None
    gateway: str = ""
    target: str = "gateway"
    """Who is asked: `gateway`, `chatbot` or `lex:STACK` in front of it, or `task:NAME`, an own function."""
    similarity: str = "minilm"
    """Which embedder scores the semantic similarity: what was asked for, then, once it is loaded, its full name."""
    facts: bool = False
    """Whether Phoenix also gets the facts that explain a score."""
    trace_content: bool = True
    """Whether the question's own span holds the question and the answer."""
    metrics: tuple[str, ...] = ()
    """The own metrics, by name."""

    @property
    def asks_task(self) -> bool:
        """Whether an own function is asked, so that no gateway is needed."""
        return self.target.startswith("task:")

    def to_json(self) -> dict[str, Any]:
        """As the journal and Phoenix store it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Settings:
        """Settings as a journal has them."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        return cls(**(values | {name: tuple(values.get(name, ())) for name in ("models", "metrics")}))


@dataclass(frozen=True, slots=True)
class Task:
    """One question for one model."""

    model: str
    example: Example
    repetition: int = 1
    """Counted from 1."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from all others of its run."""
        return self.model, self.example.id, self.repetition


@dataclass(frozen=True)
class Plan:
    """A run: which questions go to which models, in which order."""

    run_id: str
    dataset: Dataset
    settings: Settings

    def __len__(self) -> int:
        return len(self.dataset) * len(self.settings.models) * self.settings.repeat

    def tasks(self) -> Iterator[Task]:
        """All questions, the models taking turns and the repetitions far apart, so that drift hits all alike."""
        for repetition in range(1, self.settings.repeat + 1):
            for example in self.dataset:
                for model in self.settings.models:
                    yield Task(model, example, repetition)


def new_run_id() -> str:
    """A run's id: readable, sorted by time, unique."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
