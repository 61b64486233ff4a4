"""What is known of a run as a whole, typed: fixed when it starts, and what is added while it runs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from qa_eval.data.examples import SquadVersion
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.registry import default_primary, definition_of, is_own
from qa_eval.spec.model import ExperimentSpec, SystemSpec

if TYPE_CHECKING:
    from qa_eval.statistics import SequentialDesign


class _Stored(BaseModel):
    """A part of the metadata, as the journal stores it; what a later version adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class DatasetMetadata(_Stored):
    """The dataset of a run; its examples are in the journal."""

    name: str
    version: SquadVersion
    """Which official script scores it."""
    description: str = ""
    fingerprint: str = ""
    """SHA-256 over the examples' content."""
    named: bool = False
    """Whether the user chose the name."""
    phoenix_id: str | None = None
    """Phoenix's id of a dataset that is used where it is; None for one that is uploaded."""
    phoenix_version: str | None = None
    node_ids: Mapping[str, str] = {}
    """Phoenix's id of each example, by ours, for a dataset that is used where it is."""


class StopDesign(_Stored):
    """How a run decides early: fixed before the first question, so that what comes out cannot change it."""

    metric: str
    """The primary metric."""
    looks: tuple[int, ...]
    """Groups that each look has seen, rising; the last one has seen all."""
    alpha: float
    """Error rate of one candidate over all looks; the candidates share 0.05."""
    margin: float
    """Smallest difference that matters, in the metric's own unit."""
    gate: tuple[float, ...] = ()
    """Differences at which a rule of the gate turns: while the interval includes one, nothing better or worse is
    settled."""
    bounds: tuple[float, float] | None
    """What a score cannot leave; None where that is not known."""

    @property
    def sequential(self) -> SequentialDesign:
        """The design in terms of statistics."""
        from qa_eval.statistics import SequentialDesign

        given = {} if self.bounds is None else {"bounds": self.bounds}
        return SequentialDesign(self.looks, self.alpha, **given)


class RunMetadata(_Stored):
    """What is fixed when a run starts."""

    run_id: str
    spec: ExperimentSpec
    """The resolved specification."""
    dataset: DatasetMetadata
    folder: str = ""
    """The folder in which the specification's own functions are found."""
    commit: str | None = None
    """The Git commit of the working directory; `-dirty` follows where something is changed."""
    embedder: str = ""
    """Full name of the embedding model; empty where nothing needs one."""
    stop: StopDesign | None = None
    """When comparisons are looked at; None where all is asked."""

    @property
    def label(self) -> str:
        """What people read: the run's name, or its id."""
        return self.spec.name or self.run_id

    @property
    def systems(self) -> tuple[SystemSpec, ...]:
        """What is compared."""
        return self.spec.systems

    @property
    def system_names(self) -> tuple[str, ...]:
        """The systems' names."""
        return tuple(str(system.name) for system in self.spec.systems)

    @cached_property
    def definitions(self) -> Mapping[str, MetricDefinition]:
        """What is known of each metric, by name, in their order."""
        return {metric.name: definition_of(metric) for metric in self.spec.metrics}

    @property
    def primary(self) -> tuple[str, ...]:
        """The metrics whose differences are tested: chosen before, F1, or the first."""
        return self.spec.primary or default_primary(tuple(self.definitions))

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The metrics that are functions of the user's, by name."""
        return tuple(metric.name for metric in self.spec.metrics if is_own(metric))

    @property
    def baseline(self) -> str:
        """The system that others are compared with."""
        return self.spec.gate.baseline or self.system_names[0]

    @property
    def candidates(self) -> tuple[str, ...]:
        """The systems that are compared with the baseline."""
        return tuple(name for name in self.system_names if name != self.baseline)

    def judge_model(self, metric: str) -> str:
        """The model group that judges; empty where the metric is no judge."""
        spec = next(each for each in self.spec.metrics if each.name == metric)
        return (spec.model or self.spec.judges.model or "") if spec.judge else spec.model or ""

    def to_data(self) -> dict[str, Any]:
        """As the journal stores it."""
        return {**self.model_dump(mode="json", exclude={"spec"}), "spec": self.spec.to_data()}


class PhoenixExperiment(_Stored):
    """One system's experiment in Phoenix."""

    id: str
    project: str
    url: str


class Recording(_Stored):
    """What a run has in Phoenix."""

    url: str
    """Phoenix's own address."""
    dataset_id: str
    experiments: Mapping[str, PhoenixExperiment]
    """By the system's name."""

    @property
    def page(self) -> str:
        """The page that compares the run's experiments."""
        return experiments_page(self.url, self.dataset_id, *(each.id for each in self.experiments.values()))


class RunEnd(_Stored):
    """How the last process that worked on a run ended."""

    stopped: str | None = None
    """Why before all was asked; None if it was."""
    unrecorded_reason: str | None = None
    wall_s: float = 0.0
    """From the first question to the last answer, in seconds, over all processes."""


def experiments_page(phoenix_url: str, dataset_id: str, *experiment_ids: str) -> str:
    """The address of Phoenix's page for some experiments."""
    query = "&".join(f"experimentId={experiment_id}" for experiment_id in experiment_ids)
    return f"{phoenix_url}/datasets/{dataset_id}/compare?{query}"


@dataclass(frozen=True)
class Servers:
    """Where a run's questions and records go."""

    gateway_url: str = ""
    """Empty where no system asks a gateway."""
    gateway_key: str | None = field(default=None, repr=False)
    phoenix_url: str | None = None
    """None records nothing in Phoenix."""
    phoenix_key: str | None = field(default=None, repr=False)
    gateway_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More headers of every question, such as those that a load balancer routes by."""


def new_run_id() -> str:
    """A run's id: readable, sorted by time, unique."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
