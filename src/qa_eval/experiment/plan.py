"""What a run asks: which examples go to which systems, in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from qa_eval.data.examples import Dataset, Example
from qa_eval.data.identity import digest
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
    stage: int = 1
    """The look that sees it first, counted from 1."""

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

    def questions_until(self, stage: int) -> int:
        """How many questions each system is asked up to a stage, repetitions included."""
        return sum(map(len, self.stages[:stage])) * self.spec.repeat

    def __len__(self) -> int:
        return self.questions_per_system * len(self.metadata.systems)

    @cached_property
    def stages(self) -> tuple[tuple[Example, ...], ...]:
        """The examples that each look adds; all together where no comparison is looked at."""
        design = self.metadata.stop
        if design is None:
            return (self.dataset.examples,)
        place = {group: number for number, group in enumerate(groups_in_order(self.dataset))}
        seen = [0, *design.looks]
        return tuple(
            tuple(example for example in self.dataset if first <= place[example.group] < end)
            for first, end in pairwise(seen)
        )

    @cached_property
    def stage_of(self) -> Mapping[str, int]:
        """The look that sees an example first, counted from 1, by the example's id."""
        return {example.id: number for number, examples in enumerate(self.stages, 1) for example in examples}

    def calls(self) -> Iterator[Call]:
        """All questions, the systems interleaved and the repetitions far apart, so that drift affects all alike."""
        for stage, examples in enumerate(self.stages, 1):
            for repetition in range(1, self.spec.repeat + 1):
                for example in examples:
                    for system in self.metadata.system_names:
                        yield Call(system, example, repetition, stage)


def groups_in_order(dataset: Dataset) -> list[str]:
    """The groups of a dataset in a random order that is the same wherever and whenever it is asked for."""
    groups = {example.group for example in dataset}
    return sorted(groups, key=lambda group: digest(f"{dataset.fingerprint}\x00{group}"))
