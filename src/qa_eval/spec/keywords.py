"""The settings as Python keywords, typed. Their meanings and defaults are in the table of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from qa_eval.spec.metrics import MetricSpec
from qa_eval.spec.model import PromptSpec
from qa_eval.spec.ray import RaySpec

PromptLike = str | Path | PromptSpec
"""A prompt's text (with fields in braces), its file, phoenix:NAME[@TAG], or the prompt itself."""

RayLike = str | RaySpec | Mapping[str, Any]
"""A Ray cluster's address, or the cluster with the resources of each stage."""
MetricLike = str | MetricSpec | Mapping[str, Any] | Callable[..., Any]
"""A metric: a name, a judge or another part of the specification, or a function."""
Metrics = MetricLike | Sequence[MetricLike] | Mapping[str, Callable[..., Any]]
"""Metrics, or functions by name."""


class ExperimentKeywords(TypedDict, total=False):
    """The settings of `run_experiment`; `qa-eval run-experiment --help` describes each, with dashes."""

    name: str | None
    dataset: str | Path
    columns: str | Mapping[str, Any] | None
    examples: int | str
    seed: int
    stratify_by: str
    dataset_name: str | None
    models: str | Sequence[str]
    prompts: PromptLike | Sequence[PromptLike]
    via: str
    temperature: float
    max_tokens: int
    parameters: Mapping[str, Any] | Sequence[str]
    metrics: Metrics
    primary: str | Sequence[str]
    judge_model: str | None
    planted: int
    similarity: str
    repeat: int
    stream: bool
    concurrency: int | str
    ray: RayLike
    max_errors: float
    max_cost: float | None
    max_time: float | str | None
    timeout: float | str
    stop_early: bool
    looks: int
    margin: float
    baseline: str | None
    fail_on: str | Sequence[str]
    require: str | Sequence[str]
    inconclusive: str
    local: bool
    stack: str | None
    gateway: str | None
    phoenix: str | None
    replay: str | Path | None
    record: bool | str
    record_examples: str
    prices: bool
    trace: str
    facts: bool
    trace_content: bool
