"""What the journal has, into Phoenix: a trace, a run and its evaluations for each answer, beside the answering.

The journal is the queue: the recorder takes what is scored and not yet recorded and posts it over few connections
(Phoenix's server is the limit, not the network). It posts again and again, but never asks a model. What cannot be
recorded stays in the journal, for `resume`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from qa_eval.data.upload import upload_dataset
from qa_eval.errors import PhoenixAway, PhoenixError
from qa_eval.experiment.journal_file import Entry, Journal
from qa_eval.experiment.observer import Report
from qa_eval.experiment.plan import Plan
from qa_eval.metrics.custom import OwnScore
from qa_eval.metrics.explain import answer_facts
from qa_eval.phoenix.client import Conflict, Phoenix
from qa_eval.phoenix.datasets import PhoenixDataset
from qa_eval.tracing.spans import encode

CONNECTIONS = 4
_EXISTING = re.compile(r"Experiment run (\S+) already")


@dataclass(frozen=True)
class PhoenixExperiment:
    """One model's experiment in Phoenix."""

    id: str
    project: str
    url: str


@dataclass(frozen=True)
class Recording:
    """What a run has in Phoenix."""

    url: str
    """Phoenix's own address."""
    dataset_id: str
    experiments: Mapping[str, PhoenixExperiment]
    """One a model."""

    @property
    def page(self) -> str:
        """The page that compares the run's experiments."""
        return _page(self.url, self.dataset_id, *(experiment.id for experiment in self.experiments.values()))

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it, for a later process."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Recording:
        """As the journal has it."""
        experiments = {model: PhoenixExperiment(**each) for model, each in content["experiments"].items()}
        return cls(content["url"], content["dataset_id"], experiments)


async def create_experiment(phoenix: Phoenix, plan: Plan, dataset: PhoenixDataset, model: str) -> PhoenixExperiment:
    """Create one model's experiment on this version of the dataset."""
    experiment = await phoenix.client.experiments.create(
        dataset_id=dataset.id,
        dataset_version_id=dataset.version_id,
        experiment_name=f"{model} {plan.run_id}",
        experiment_description=f"qa-eval: {model} on {plan.dataset.description or plan.dataset.name}",
        experiment_metadata={"run": plan.run_id, "model": model, **plan.settings.to_json()},
        repetitions=plan.settings.repeat,
    )
    url = _page(phoenix.url, dataset.id, experiment["id"])
    return PhoenixExperiment(experiment["id"], str(experiment.get("project_name") or "default"), url)


def _page(phoenix_url: str, dataset_id: str, *experiment_ids: str) -> str:
    query = "&".join(f"experimentId={experiment_id}" for experiment_id in experiment_ids)
    return f"{phoenix_url}/datasets/{dataset_id}/compare?{query}"


@dataclass(frozen=True)
class Evaluation:
    """One score or label of a run, as Phoenix stores it."""

    name: str
    score: float | None = None
    label: str | None = None
    metadata: Mapping[str, str] | None = None
    explanation: str | None = None
    error: str | None = None
    """Why there is neither."""

    def to_json(self, run_id: str) -> dict[str, Any]:
        """As Phoenix takes it."""
        now = datetime.now(UTC).isoformat()
        result = {"score": self.score, "label": self.label, "explanation": self.explanation}
        return {
            "experiment_run_id": run_id,
            "name": self.name,
            "annotator_kind": "CODE",
            "start_time": now,
            "end_time": now,
            **(
                {"error": self.error}
                if self.error
                else {"result": {name: value for name, value in result.items() if value is not None}}
            ),
            "metadata": dict(self.metadata or {}),
        }


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
        if reply.message:
            evaluations = [replace(each, explanation=reply.message) for each in evaluations]
        evaluations += [_own(own) for own in entry.own_scores]
        if reply.cost_usd is not None:
            # The gateway's own figure, its guardrail included: Phoenix has no price for a gateway's model groups.
            evaluations.append(Evaluation("cost_usd", reply.cost_usd))
        return evaluations + (_facts(entry) if self.facts and failure is None else [])


def _own(own: OwnScore) -> Evaluation:
    if own.value is None:
        return Evaluation(own.name, error=own.explanation)
    return Evaluation(own.name, own.value, own.label, explanation=own.explanation)


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
    """Records one run. `open` first: it brings the dataset and the experiments into Phoenix."""

    def __init__(self, phoenix: Phoenix, journal: Journal, plan: Plan, evaluations: Evaluations) -> None:
        self._phoenix = phoenix
        self._journal = journal
        self._plan = plan
        self._evaluations = evaluations
        self._node_ids: Mapping[str, str] = {}
        self.recording: Recording | None = None
        """None until Phoenix has the run's experiments."""

    async def open(self, report: Report) -> None:
        """Dataset and experiments into Phoenix, so that answers can follow; an earlier process's are used again.

        Raises:
            PhoenixAway: Phoenix does not answer.
            PhoenixError: Phoenix refuses, or holds another dataset under this name.
        """
        try:
            await self._phoenix.check()
            stored = await upload_dataset(
                self._phoenix.client,
                self._plan.dataset,
                on_progress=lambda done, total: report(
                    f"Dataset {self._plan.dataset.name}: {done} of {total} examples in Phoenix"
                ),
                log=report,
            )
            recording = await self._earlier() or await self._create(stored)
        except httpx.HTTPError as error:
            raise PhoenixAway(f"Phoenix at {self._phoenix.url} does not answer ({error}): see its log.") from None
        await self._journal.run(lambda ledger: ledger.note("phoenix", recording.to_json()))
        self._node_ids = stored.node_ids
        self.recording = recording

    async def record(self, entries: Sequence[Entry]) -> None:
        """Record some answers with their evaluations, and note each that Phoenix has.

        Raises:
            PhoenixError: Phoenix stays away or refuses; what is missing remains in the journal.
        """
        connections = asyncio.Semaphore(CONNECTIONS)

        async def one(entry: Entry) -> tuple[Entry, str]:
            async with connections:
                return entry, await self._record_one(entry)

        done = await asyncio.gather(*(one(entry) for entry in entries), return_exceptions=True)
        recorded = [pair for pair in done if not isinstance(pair, BaseException)]
        await self._journal.run(lambda ledger: ledger.add_recorded(recorded))
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def trace(self, entries: Sequence[Entry]) -> None:
        """Send the questions' own spans; a span that Phoenix has already it leaves as it is.

        Raises:
            PhoenixError: Phoenix stays away or refuses.
        """
        assert self.recording is not None, "opened before"
        projects = {model: experiment.project for model, experiment in self.recording.experiments.items()}
        content = self._plan.settings.trace_content
        await self._phoenix.post("v1/traces", encode(entries, projects, content=content))

    async def missing(self, entries: Sequence[Entry]) -> list[Entry]:
        """Which of these answers Phoenix lacks, or lacks an evaluation of: asked of Phoenix, not of the journal.

        Raises:
            PhoenixError: Phoenix does not answer.
        """
        assert self.recording is not None, "opened before"
        held = {model: await self._held(each.id) for model, each in self.recording.experiments.items()}
        return [entry for entry in entries if not self._is_held(entry, held[entry.model])]

    async def _earlier(self) -> Recording | None:
        """The experiments that an earlier process of this run has made, if this Phoenix still has them."""
        noted = (await self._journal.run(lambda ledger: ledger.facts())).get("phoenix")
        if noted is None:
            return None
        recording = Recording.from_json(noted)
        experiments = {}
        for model, experiment in recording.experiments.items():
            if await self._phoenix.get(f"v1/experiments/{experiment.id}") is None:
                await self._journal.run(lambda ledger: ledger.forget_recorded(ledger.answers()))
                return None
            url = _page(self._phoenix.url, recording.dataset_id, experiment.id)
            experiments[model] = replace(experiment, url=url)
        return Recording(self._phoenix.url, recording.dataset_id, experiments)

    async def _create(self, stored: PhoenixDataset) -> Recording:
        experiments = {
            model: await create_experiment(self._phoenix, self._plan, stored, model)
            for model in self._plan.settings.models
        }
        return Recording(self._phoenix.url, stored.id, experiments)

    async def _record_one(self, entry: Entry) -> str:
        run_id = await self._run(entry)
        for evaluation in self._evaluations.of(entry):
            await self._phoenix.post("v1/experiment_evaluations", evaluation.to_json(run_id))
        return run_id

    async def _run(self, entry: Entry) -> str:
        assert self.recording is not None, "opened before"
        reply, experiment = entry.reply, self.recording.experiments[entry.model]
        failure = None if reply.outcome.is_answer else f"{reply.outcome}: {reply.message}"
        run = {
            "dataset_example_id": self._node_ids[entry.example.id],
            "repetition_number": entry.repetition,
            "output": {"answer": reply.text} if failure is None else None,
            "start_time": reply.started_at.isoformat(),
            "end_time": (reply.started_at + timedelta(seconds=reply.latency_s)).isoformat(),
            "trace_id": reply.trace_id,
            "error": failure,
        }
        try:
            answer = await self._phoenix.post(f"v1/experiments/{experiment.id}/runs", run)
        except Conflict as conflict:
            # Phoenix has it, though its answer to an earlier post was lost on the way; it names the run.
            found = _EXISTING.search(str(conflict))
            if found is None:
                raise PhoenixError(f"Phoenix has a run already and does not name it: {conflict}.") from None
            return found[1]
        try:
            return str(json.loads(answer)["data"]["id"])
        except (ValueError, KeyError, TypeError):
            raise PhoenixError("What stands in front of Phoenix answers in its place: check --phoenix.") from None

    async def _held(self, experiment_id: str) -> dict[tuple[str, int], set[str]]:
        """The names of the evaluations that Phoenix has, by example and repetition."""
        runs = await self._phoenix.get(f"v1/experiments/{experiment_id}/json") or []
        return {
            (run["example_id"], run["repetition_number"]): {each["name"] for each in run["annotations"]} for run in runs
        }

    def _is_held(self, entry: Entry, held: Mapping[tuple[str, int], set[str]]) -> bool:
        names = held.get((self._node_ids[entry.example.id], entry.repetition))
        return names is not None and names >= {evaluation.name for evaluation in self._evaluations.of(entry)}
