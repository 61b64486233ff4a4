"""Runs and evaluations of an experiment, as Phoenix's own client logs them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from qa_eval.errors import PhoenixError
from qa_eval.phoenix.client import Conflict, Phoenix

_EXISTING = re.compile(r"Experiment run (\S+) already")


@dataclass(frozen=True)
class ExperimentRun:
    """One answer as Phoenix stores it."""

    example_id: str
    """Phoenix's id of the dataset's example."""
    repetition: int
    output: Mapping[str, Any] | None
    """None where there is no answer."""
    started_at: datetime
    ended_at: datetime
    trace_id: str | None
    error: str | None


@dataclass(frozen=True)
class Evaluation:
    """One score or label of an experiment's run, as Phoenix stores it."""

    name: str
    score: float | None = None
    label: str | None = None
    explanation: str | None = None
    metadata: Mapping[str, str] | None = None
    error: str | None = None
    """Why there is neither."""
    kind: Literal["CODE", "LLM", "HUMAN"] = "CODE"
    """Who decided."""


async def log_run(phoenix: Phoenix, experiment_id: str, run: ExperimentRun) -> str:
    """Put a run into an experiment.

    Returns:
        Phoenix's id of the run; that of the run which is there, where an earlier post arrived and its response was
        lost.

    Raises:
        PhoenixError: Phoenix stays unavailable, or refuses.
    """
    try:
        stored = await phoenix.send(
            phoenix.client.experiments.log_run,
            experiment_id=experiment_id,
            dataset_example_id=run.example_id,
            repetition_number=run.repetition,
            output=run.output,
            start_time=run.started_at,
            end_time=run.ended_at,
            trace_id=run.trace_id,
            error=run.error,
        )
    except Conflict as conflict:
        found = _EXISTING.search(str(conflict))
        if found is None:
            raise PhoenixError(f"Phoenix has a run already and does not name it: {conflict}.") from None
        return found[1]
    return str(stored["id"])


async def log_evaluation(phoenix: Phoenix, run_id: str, evaluation: Evaluation) -> None:
    """Put an evaluation to a run; one of the same name is replaced.

    Raises:
        PhoenixError: Phoenix stays unavailable, or refuses.
    """
    await phoenix.send(
        phoenix.client.experiments.log_evaluation,
        experiment_run_id=run_id,
        name=evaluation.name,
        annotator_kind=evaluation.kind,
        start_time=datetime.now(UTC),
        score=evaluation.score,
        label=evaluation.label,
        explanation=evaluation.explanation,
        error=evaluation.error,
        metadata=evaluation.metadata,
    )


async def held_evaluations(phoenix: Phoenix, experiment_id: str) -> dict[tuple[str, int], set[str]]:
    """The names of the evaluations that Phoenix has, by Phoenix's id of the example and the repetition.

    The client's `get_experiment` reads the first page of the runs, and no evaluation that is an error; this is all.

    Raises:
        PhoenixUnavailable: Phoenix does not answer.
    """
    runs = await phoenix.get(f"v1/experiments/{experiment_id}/json") or []
    return {
        (run["example_id"], run["repetition_number"]): {each["name"] for each in run["annotations"]} for run in runs
    }
