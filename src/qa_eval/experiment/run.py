"""One run from its servers to its result: opens what the engine needs, and closes it whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qa_eval.data.examples import Dataset
from qa_eval.data.phoenix import Phoenix, PhoenixDataset, upload_dataset
from qa_eval.experiment.engine import Engine, Observer, Silent
from qa_eval.experiment.journal import Entry, Journal, journal_path
from qa_eval.experiment.plan import Plan, Settings, new_run_id
from qa_eval.experiment.recorder import Evaluations, PhoenixExperiment, Recorder, create_experiment
from qa_eval.experiment.results import ExperimentResult, RunResult
from qa_eval.experiment.scoring import load_similarity
from qa_eval.gateway.client import GatewayClient
from qa_eval.gateway.tracing import Tracing

Report = Callable[[str], None]


@dataclass(frozen=True)
class Servers:
    """Where a run's questions and records go."""

    gateway_url: str
    gateway_key: str | None = field(default=None, repr=False)
    phoenix_url: str | None = None
    """None records nothing in Phoenix."""
    phoenix_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Recording:
    """What a run has in Phoenix."""

    phoenix: Phoenix
    tracing: Tracing
    dataset: PhoenixDataset
    experiments: dict[str, PhoenixExperiment]

    @property
    def url(self) -> str:
        """The page that compares the run's experiments."""
        query = "&".join(f"experimentId={experiment.id}" for experiment in self.experiments.values())
        return f"{self.phoenix.url}/datasets/{self.dataset.id}/compare?{query}"

    def to_json(self) -> dict[str, Any]:
        """What a later process needs to go on recording."""
        return {
            "url": self.phoenix.url,
            "dataset_id": self.dataset.id,
            "experiments": {model: asdict(experiment) for model, experiment in self.experiments.items()},
        }


async def execute(
    dataset: Dataset,
    settings: Settings,
    servers: Servers,
    *,
    runs_folder: Path,
    observer: Observer | None = None,
    report: Report = lambda line: None,
) -> RunResult:
    """Run an experiment for each model of the settings.

    Args:
        dataset: The questions.
        settings: What decides the answers.
        servers: The gateway, and Phoenix unless nothing is to be recorded.
        runs_folder: Where journals are kept.
        observer: Who is told how the run goes.
        report: Called with one line for each thing that takes time before the first question.

    Raises:
        QaEvalError: A server is not there, refuses us, or the journal cannot be written.
    """
    client = GatewayClient(servers.gateway_url, servers.gateway_key, timeout_s=settings.timeout_s)
    await client.check(settings.models)
    similarity = await asyncio.to_thread(load_similarity, settings.similarity, client.url, servers.gateway_key)
    settings = replace(settings, gateway=client.url, similarity=similarity.embedder)
    plan = Plan(new_run_id(), dataset, settings)
    async with AsyncExitStack() as resources:
        await resources.enter_async_context(client)
        recording = await _open_recording(resources, plan, servers, report)
        journal = await Journal.create(journal_path(runs_folder, plan.run_id), plan)
        await resources.enter_async_context(journal)
        engine = Engine(plan=plan, journal=journal, gateway=client, similarity=similarity.score)
        engine.observer = observer or Silent()
        if recording is not None:
            await journal.note("phoenix", recording.to_json())
            engine.recorder = Recorder(
                recording.phoenix,
                journal,
                recording.dataset.node_ids,
                recording.experiments,
                Evaluations(similarity.evaluation, similarity.embedder, facts=settings.facts),
            )
            engine.tracing = recording.tracing
            engine.projects = {model: experiment.project for model, experiment in recording.experiments.items()}
        engine.observer.started(plan, journal)
        await engine.run()
        if recording is not None:
            await asyncio.to_thread(recording.tracing.flush)
        entries = await journal.entries()
        unrecorded = 0 if recording is None else len(await journal.unrecorded(-1))
    return RunResult(
        run_id=plan.run_id,
        dataset=dataset.name,
        version=dataset.version,
        settings=settings,
        experiments=tuple(_experiment(model, entries, recording) for model in settings.models),
        journal=journal.path,
        planned=len(dataset),
        wall_s=engine.answering_s,
        url=recording.url if recording else None,
        stopped=engine.stopped,
        unrecorded=unrecorded,
        unrecorded_reason=engine.unrecorded,
    )


async def _open_recording(resources: AsyncExitStack, plan: Plan, servers: Servers, report: Report) -> _Recording | None:
    """Dataset and experiments into Phoenix, so that answers can follow."""
    if servers.phoenix_url is None:
        return None
    phoenix = await resources.enter_async_context(Phoenix(servers.phoenix_url, servers.phoenix_key))
    await phoenix.check()
    stored = await upload_dataset(
        phoenix.client,
        plan.dataset,
        report=lambda done, total: report(f"Dataset {plan.dataset.name}: {done} of {total} examples in Phoenix"),
    )
    experiments = {model: await create_experiment(phoenix, plan, stored, model) for model in plan.settings.models}
    tracing = resources.enter_context(Tracing(phoenix.url, phoenix.headers))
    return _Recording(phoenix, tracing, stored, experiments)


def _experiment(model: str, entries: Sequence[Entry], recording: _Recording | None) -> ExperimentResult:
    phoenix = recording.experiments[model] if recording else None
    return ExperimentResult(
        model=model,
        entries=tuple(entry for entry in entries if entry.model == model),
        phoenix_id=phoenix.id if phoenix else None,
        url=phoenix.url if phoenix else None,
    )
