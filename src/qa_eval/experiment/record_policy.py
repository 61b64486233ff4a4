"""Which examples Phoenix gets: all, a sample of them, or those that went wrong and a sample beside them.

The journal holds every answer in any case, and all figures are of all answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from heapq import nsmallest

from qa_eval.data.examples import Dataset
from qa_eval.data.identity import digest
from qa_eval.experiment.answers import Answer
from qa_eval.experiment.plan import Plan
from qa_eval.words import counted, duration

ANSWERS_PER_S = 40.0
"""About as many answers, with their evaluations, does Phoenix take in a second."""


@dataclass(frozen=True)
class RecordPolicy:
    """`recording.examples` of a specification, taken apart."""

    text: str

    @property
    def is_whole(self) -> bool:
        """Whether Phoenix gets everything."""
        return self.text == "all"

    @property
    def waits(self) -> bool:
        """Whether all scores have to be known before it is."""
        return self.text.startswith("failures")

    @property
    def _sampled(self) -> int:
        return int(self.text.replace("+", ":").partition(":")[2] or 0)

    def sample(self, ids: Iterable[str]) -> frozenset[str]:
        """The sampled examples: by a hash of the id, so that a larger sample holds a smaller one."""
        return frozenset(nsmallest(self._sampled, ids, key=lambda each: digest(f"record {each}")))

    def part(self, dataset: Dataset, wanted: Collection[str], run_id: str) -> Dataset:
        """The examples that Phoenix gets, as a dataset of its own name; all of them keep the dataset's."""
        if len(wanted) == len(dataset):
            return dataset
        examples = tuple(example for example in dataset if example.id in wanted)
        part = f"failures-{run_id}" if self.waits else f"sample-{len(examples)}"
        return replace(
            dataset,
            name=f"{dataset.name}-{part}",
            examples=examples,
            description=f"{counted(len(examples), 'example')} of {len(dataset)} of {dataset.name} ({self.text})",
            named=False,
        )

    def count(self, examples: int) -> int:
        """How many of so many examples Phoenix gets; where failures are recorded, at least."""
        return examples if self.is_whole else min(examples, self._sampled)


def recording_words(examples: str, seconds: float) -> str:
    """How long it takes to record some examples, `recording.examples`, as users read it."""
    least = "at least" if RecordPolicy(examples).waits else "about"
    return f"Recording in Phoenix ({examples}) takes {least} {duration(seconds)}"


def recording_seconds(plan: Plan) -> float:
    """About how long Phoenix takes for a run; where it gets failures, at least."""
    examples = RecordPolicy(plan.spec.recording.examples).count(len(plan.dataset))
    return examples * len(plan.metadata.systems) * plan.spec.repeat / ANSWERS_PER_S


def went_wrong(answer: Answer, primary: str) -> bool:
    """Whether a question has no answer, or one whose primary score is 0."""
    return not answer.reply.outcome.is_answer or any(
        score.name == primary and score.value == 0 for score in answer.scores
    )
