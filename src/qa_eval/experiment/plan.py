"""What a run asks: which examples go to which systems, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qa_eval.data.examples import Dataset, Example
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.spec.model import ExperimentSpec

CallKey = tuple[str, str, int]
"""System, example id and repetition: unique within a run."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question for one system."""

    system: str
    example: Example
    repetition: int = 1
    """Counted from 1."""

    @property
    def key(self) -> CallKey:
        """What distinguishes it from all others of its run."""
        return self.system, self.example.id, self.repetition


@dataclass(frozen=True)
class Plan:
    """A run before it starts."""

    metadata: RunMetadata
    dataset: Dataset

    @property
    def spec(self) -> ExperimentSpec:
        """The resolved specification."""
        return self.metadata.spec

    @property
    def questions_per_system(self) -> int:
        """How many questions each system is asked, repetitions included."""
        return len(self.dataset) * self.spec.repeat

    def __len__(self) -> int:
        return self.questions_per_system * len(self.metadata.systems)

    def calls(self) -> Iterator[Call]:
        """All questions, the systems interleaved and the repetitions far apart, so that drift affects all alike."""
        for repetition in range(1, self.spec.repeat + 1):
            for example in self.dataset:
                for system in self.metadata.system_names:
                    yield Call(system, example, repetition)
