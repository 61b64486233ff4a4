"""What a run came to: its systems, as a table, as JSON and as a data frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_eval.data.examples import SquadVersion
from qa_eval.experiment import tables
from qa_eval.experiment.calibration import JudgeReport
from qa_eval.experiment.looks import EndedComparison, TakenLook
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.summary import ExperimentResult
from qa_eval.targets.pace import Pace
from qa_eval.words import counted

if TYPE_CHECKING:
    import pandas as pd


SCHEMA = "qa-eval/run@2"


@dataclass(frozen=True, slots=True)
class Saving:
    """What an early stop saved."""

    questions: int
    planned: int
    """Questions of the whole run."""
    cost_usd: float | None
    """At each system's mean cost; None where that is not known."""


@dataclass(frozen=True)
class RunResult:
    """What one `run_experiment` made."""

    metadata: RunMetadata
    experiments: tuple[ExperimentResult, ...]
    journal: Path
    planned: int
    """How many questions each system was to be asked, repetitions included."""
    wall_s: float
    """From the first question to the last answer, in seconds."""
    url: str | None = None
    """The dashboard page that shows all experiments of the run side by side."""
    stopped: str | None = None
    """Why the run ended early; None if it did not."""
    unrecorded: int = 0
    """How many answers Phoenix lacks."""
    unwanted: int = 0
    """How many answers Phoenix is not to have, by `recording.examples`."""
    unrecorded_reason: str | None = None
    pace: Pace = field(default_factory=Pace)
    """The concurrency that the run settled on, and when answers queued."""
    looks: tuple[TakenLook, ...] = ()
    """The looks at the comparisons of a run that stops early."""
    ended: tuple[EndedComparison, ...] = ()
    """The comparisons that its design has ended."""
    judges: tuple[JudgeReport, ...] = ()
    """The judges, with what they cost and how far each can be trusted."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.metadata.run_id

    @property
    def label(self) -> str:
        """The run's name, or its id."""
        return self.metadata.label

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.metadata.dataset.name

    @property
    def version(self) -> SquadVersion:
        """Which official script scores the dataset."""
        return self.metadata.dataset.version

    @property
    def questions_per_system(self) -> str:
        """How many questions each system was to be asked, in words."""
        until = "up to " if self.settled and self.saved.questions > 0 else ""
        return f"{until}{counted(self.planned, 'question')} per system"

    @property
    def incomplete(self) -> bool:
        """Whether questions are left that were never answered, or answers that were never judged."""
        return self.unscored > 0 or any(
            len(experiment.answers) < self.planned_of(experiment) for experiment in self.experiments
        )

    def planned_of(self, experiment: ExperimentResult) -> int:
        """How many questions one system is to be asked: fewer where its comparison was decided early."""
        return self.planned if experiment.planned is None else experiment.planned

    @property
    def settled(self) -> tuple[TakenLook, ...]:
        """The looks that settled a candidate, so that it was asked no more."""
        return tuple(look for look in self.looks if look.decision is not None)

    @property
    def saved(self) -> Saving:
        """What was not asked because the comparisons were decided."""
        left = [(self.planned - len(each.answers), each) for each in self.experiments]
        costs = [count * cost for count, each in left if (cost := each.mean_cost) is not None]
        return Saving(
            questions=sum(count for count, _ in left),
            planned=self.planned * len(self.experiments),
            cost_usd=sum(costs) if len(costs) == len(left) else None,
        )

    @property
    def unscored(self) -> int:
        """How many answers lack a score: the run stopped before they were judged."""
        return sum(not answer.scored for experiment in self.experiments for answer in experiment.answers)

    def to_pandas(self) -> pd.DataFrame:
        """One row an answer: question, references, answer, outcome, scores, facts, tokens, cost, latency.

        Each metric is a column; `NAME.label`, `NAME.explanation` and `NAME.error` follow where a score has one.
        Metadata of the dataset are columns `metadata.NAME`.
        """
        import pandas as pd

        rows = [
            tables.answer_row(answer, experiment.model, self.metadata, queued=experiment.is_queued(answer))
            for experiment in self.experiments
            for answer in experiment.answers
        ]
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints; `schema` names its version."""
        asked = sum(len(experiment.answers) for experiment in self.experiments)
        return {
            "schema": SCHEMA,
            "run": self.run_id,
            "name": self.metadata.spec.name,
            "dataset": {"name": self.dataset, "squad_version": self.version},
            "spec": self.metadata.spec.to_data(),
            "embedder": self.metadata.embedder,
            "planned": self.planned,
            "experiments": [experiment.to_json() for experiment in self.experiments],
            "judges": [judge.to_json() for judge in self.judges],
            "wall_s": self.wall_s,
            "pace": self._pace_json(),
            "questions_per_s": asked / self.wall_s if self.wall_s else None,
            "url": self.url,
            "journal": str(self.journal),
            "stopped": self.stopped,
            "stop": self._stop_json(),
            "unscored": self.unscored,
            "unrecorded": self.unrecorded,
            "unwanted": self.unwanted,
        }

    def _pace_json(self) -> dict[str, Any]:
        """What the limiter settled on, and the answers that are left out of the latency, by reason."""
        return {
            "concurrency": self.pace.concurrency,
            "answers_per_s": self.pace.per_second,
            "queued": sum(experiment.queued for experiment in self.experiments),
            "spells": [asdict(spell) for spell in self.pace.spells],
        }

    def _stop_json(self) -> dict[str, Any] | None:
        """What an early stop was planned to be, saw and saved."""
        design = self.metadata.stop
        if design is None:
            return None
        return {
            "design": design.model_dump(mode="json"),
            "looks": [look.to_json() for look in self.looks],
            "saved": asdict(self.saved),
        }

    def cells(self, most: int | None = None) -> list[list[str]]:
        """The table as texts: the titles, then a row a system, with at most so many metrics."""
        columns = tables.columns(self.metadata, most)
        return [[column.title for column in columns], *([c.cell(e) for c in columns] for e in self.experiments)]

    def __repr__(self) -> str:
        return "\n".join((self._title(), tables.as_text(self.cells()), *([self.url] if self.url else [])))

    def _repr_html_(self) -> str:
        return tables.as_html(self._title(), self.cells(), self.url)

    def _title(self) -> str:
        early = " (stopped early)" if self.incomplete else ""
        return f"Run {self.label} on {self.dataset}, {self.questions_per_system}{early}"
