"""The keywords of the verbs, typed: what only Python can give, and what may change when a run is continued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from qa_eval.data.examples import Dataset
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.observer import Observer, OnProgress
from qa_eval.metrics.base import Metric
from qa_eval.spec.keywords import ExperimentKeywords, Metrics, RayLike
from qa_eval.spec.load import LoadedSpec
from qa_eval.spec.model import ExperimentSpec
from qa_eval.targets.function import TaskFunction

SPEC_ENDINGS = (".yaml", ".yml", ".toml")
Experiment = ExperimentSpec | LoadedSpec | Dataset | str | Path
"""A specification, a specification's file, or a dataset: loaded, or what `load_dataset` takes."""


class RunObjects(TypedDict, total=False):
    """What only Python can give."""

    task: TaskFunction | Mapping[str, TaskFunction]
    """A function `(example) -> str`, plain or async, that answers in place of a model; or several by name."""
    servers: Servers
    """Addresses and keys, where they are already known."""
    observer: Observer
    """Follows the run."""
    on_progress: OnProgress
    """Called with one line for each thing that takes time."""


class RunKeywords(ExperimentKeywords, RunObjects, total=False):
    """All keywords of `run_experiment`."""


class ResumeKeywords(TypedDict, total=False):
    """The keywords of `resume`."""

    retry_failed: bool
    """Ask again what ended in an error."""
    gateway: str | None
    """The gateway's address, where it has changed."""
    phoenix: str | None
    """Phoenix's address, where it has changed."""
    concurrency: int | str | None
    """Maximum number of concurrent requests, or `auto`."""
    ray: RayLike | None
    """Ray cluster for the rest: `local`, `auto`, HOST:PORT, or `none`; by default the run's."""
    max_errors: float | str | None
    """Stop when more than this share of questions fails from now on."""
    max_cost: float | str | None
    """US dollars for the whole run, what is spent already included."""
    max_time: float | str | None
    """Seconds from now, or a text such as 10m."""
    task: TaskFunction | Mapping[str, TaskFunction]
    """The run's own task again; one that is named module:function is found without it."""
    metrics: Mapping[str, Metric] | Sequence[Metric]
    """The run's custom metrics again; those that can be imported are found without it."""
    observer: Observer
    on_progress: OnProgress


class EvaluateKeywords(TypedDict, total=False):
    """The keywords of `evaluate`."""

    metrics: Metrics
    """Metrics to add: names, judges, functions."""
    judge_model: str | None
    """Model group of the gateway that judges."""
    planted: int | str | None
    """Known right, and known wrong, answers that measure a judge; at most so many of each."""
    gateway: str | None
    """The gateway's address, where it has changed."""
    phoenix: str | None
    """Phoenix's address, where it has changed."""
    concurrency: int | str | None
    """Maximum number of concurrent requests for each judge's model, or `auto`."""
    ray: RayLike | None
    """Ray cluster for the rest: `local`, `auto`, HOST:PORT, or `none`; by default the run's."""
    max_errors: float | str | None
    """Stop when more than this share of judgements fails from now on."""
    max_cost: float | str | None
    """US dollars for the whole run, what is spent already included."""
    observer: Observer
    on_progress: OnProgress
