"""What the journal has, into Phoenix: one run and its evaluations an answer, beside the answering.

The journal is the queue: the recorder takes what is scored and not yet recorded, posts it over few connections
(Phoenix's server is the limit, not the network), tries again with growing pauses and never asks a model. What cannot
be recorded stays in the journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import httpx

from qa_eval.data.phoenix import Phoenix, PhoenixDataset
from qa_eval.errors import PhoenixError
from qa_eval.experiment.journal import Entry, Journal
from qa_eval.experiment.plan import Plan
from qa_eval.metrics.facts import answer_facts

CONNECTIONS = 4
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the tries of one post."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class PhoenixExperiment:
    """One model's experiment in Phoenix."""

    id: str
    project: str
    url: str


async def create_experiment(phoenix: Phoenix, plan: Plan, dataset: PhoenixDataset, model: str) -> PhoenixExperiment:
    """Create one model's experiment on this version of the dataset."""
    experiment = await phoenix.client.experiments.create(
        dataset_id=dataset.id,
        dataset_version_id=dataset.version_id,
        experiment_name=f"{model} {plan.run_id}",
        experiment_description=f"qa-eval: {model} on {plan.dataset.description or plan.dataset.name}",
        experiment_metadata={"run": plan.run_id, "model": model, **plan.settings.to_json()},
    )
    url = f"{phoenix.url}/datasets/{dataset.id}/compare?experimentId={experiment['id']}"
    return PhoenixExperiment(experiment["id"], str(experiment.get("project_name") or "default"), url)


@dataclass(frozen=True)
class Evaluation:
    """One score or label of a run, as Phoenix stores it."""

    name: str
    score: float | None = None
    label: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Evaluations:
    """Which evaluations a run gets."""

    similarity: str
    """The name of the semantic similarity."""
    embedder: str
    facts: bool = False

    def of(self, entry: Entry) -> list[Evaluation]:
        """The evaluations of one answer; those of a failure are 0 and carry its name as label."""
        reply, scores = entry.reply, entry.scores
        assert scores is not None, "only what is scored is recorded"
        failure = None if reply.outcome.is_answer else str(reply.outcome)
        evaluations = [
            Evaluation("exact_match", scores.exact_match, failure),
            Evaluation("f1", scores.f1, failure),
            Evaluation(self.similarity, scores.semantic_similarity, failure, {"embedder": self.embedder}),
        ]
        return evaluations + (_facts(entry) if self.facts and failure is None else [])


def _facts(entry: Entry) -> list[Evaluation]:
    facts = answer_facts(entry.example.question, entry.reply.text, entry.example.references)
    evaluations = [
        Evaluation("answer_contained", float(facts.answer_contained)),
        Evaluation("declined", label=facts.declined or "no"),
        Evaluation("question_type", label=facts.question_type),
    ]
    if facts.length_ratio is not None:
        evaluations.append(Evaluation("length_ratio", facts.length_ratio))
    return evaluations


class Recorder:
    """Records one run."""

    def __init__(
        self,
        phoenix: Phoenix,
        journal: Journal,
        node_ids: Mapping[str, str],
        experiments: Mapping[str, PhoenixExperiment],
        evaluations: Evaluations,
    ) -> None:
        self._evaluations = evaluations
        self._experiments_api = phoenix.client.experiments
        self._journal = journal
        self._node_ids = node_ids
        self._experiments = experiments

    async def record(self, entries: list[Entry]) -> int:
        """Record some answers; returns how many Phoenix has now.

        Raises:
            PhoenixError: Phoenix stays unreachable; what is missing remains in the journal.
        """
        connections = asyncio.Semaphore(CONNECTIONS)

        async def one(entry: Entry) -> None:
            async with connections:
                await self._journal.mark_recorded(entry, await self._record_one(entry))

        done = await asyncio.gather(*(one(entry) for entry in entries), return_exceptions=True)
        failed = [error for error in done if error is not None]
        if failed:
            raise failed[0]
        return len(entries)

    async def _record_one(self, entry: Entry) -> str:
        run_id = await self._run(entry)
        for each in self._evaluations.of(entry):
            await _post(
                lambda each=each: self._experiments_api.log_evaluation(
                    experiment_run_id=run_id,
                    name=each.name,
                    score=each.score,
                    label=each.label,
                    explanation=entry.reply.message or None,
                    metadata=each.metadata,
                )
            )
        return run_id

    async def _run(self, entry: Entry) -> str:
        reply, experiment = entry.reply, self._experiments[entry.model]
        failure = None if reply.outcome.is_answer else f"{reply.outcome}: {reply.message}"
        try:
            run = await _post(
                lambda: self._experiments_api.log_run(
                    experiment_id=experiment.id,
                    dataset_example_id=self._node_ids[entry.example.id],
                    output={"answer": reply.text} if failure is None else None,
                    start_time=reply.started_at,
                    end_time=reply.started_at + timedelta(seconds=reply.latency_s),
                    trace_id=reply.trace_id,
                    error=failure,
                )
            )
        except httpx.HTTPStatusError:  # 409: Phoenix has it already
            return await self._existing_run(experiment.id, self._node_ids[entry.example.id])
        return str(run["id"])

    async def _existing_run(self, experiment_id: str, node_id: str) -> str:
        """The id of a run that Phoenix has, though its answer to our post was lost on the way."""
        stored = await _post(lambda: self._experiments_api.get_experiment(experiment_id=experiment_id))
        return next(str(run["id"]) for run in stored["task_runs"] if run["dataset_example_id"] == node_id)


async def _post(send: Any) -> Any:
    """Send until Phoenix takes it: a lost connection, 429 and 5xx are tried again, other refusals are not."""
    for pause in (*PAUSES_S, None):
        try:
            return await send()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status == 409:
                raise
            if status != 429 and status < 500:
                raise PhoenixError(
                    f"Phoenix refuses what is recorded (HTTP {status}): see its log; the journal keeps it."
                ) from None
            problem = f"HTTP {status}"
        except httpx.TransportError as error:
            problem = type(error).__name__
        if pause is None:
            raise PhoenixError(
                f"Phoenix does not take what is recorded ({problem}): see its log; the journal keeps it."
            )
        await asyncio.sleep(pause)
    raise AssertionError("the last pause raises")
