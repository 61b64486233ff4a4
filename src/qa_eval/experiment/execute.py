"""One run from its servers to its result: opens what the engine needs, and closes it whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qa_eval.data.examples import Dataset
from qa_eval.errors import PhoenixAway
from qa_eval.experiment.engine import Engine
from qa_eval.experiment.journal_file import Journal
from qa_eval.experiment.observer import Observer, Report, Silent
from qa_eval.experiment.plan import Plan, Settings, new_run_id
from qa_eval.experiment.recorder import Evaluations, Recorder
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import journal_path, read_result
from qa_eval.experiment.scoring import SimilarityScorer, load_similarity
from qa_eval.metrics.custom import Metric
from qa_eval.phoenix.client import Phoenix
from qa_eval.targets.gateway import GatewayClient
from qa_eval.targets.outcome import Asker


@dataclass(frozen=True)
class Servers:
    """Where a run's questions and records go."""

    gateway_url: str
    """Empty where an own task is asked and no gateway."""
    gateway_key: str | None = field(default=None, repr=False)
    phoenix_url: str | None = None
    """None records nothing in Phoenix."""
    phoenix_key: str | None = field(default=None, repr=False)


async def execute(
    dataset: Dataset,
    settings: Settings,
    servers: Servers,
    *,
    runs_folder: Path,
    facts: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    report: Report = lambda line: None,
    asker: Callable[[GatewayClient], Asker] = lambda client: client,
    metrics: Mapping[str, Metric] | None = None,
) -> RunResult:
    """Run an experiment for each model of the settings.

    Args:
        dataset: The questions.
        settings: What decides the answers.
        servers: The gateway, and Phoenix unless nothing is to be recorded.
        runs_folder: Where journals are kept.
        facts: What else the journal keeps of the run, for a later process.
        observer: Who is told how the run goes.
        report: Called with one line for each thing that takes time.
        asker: Who is asked, given the gateway's client; the gateway itself without it.
        metrics: The own metrics that the settings name.

    Raises:
        QaEvalError: A server refuses us, or the journal cannot be written.
    """
    async with AsyncExitStack() as resources:
        client = await _client(resources, settings, servers)
        if not settings.asks_task:
            await client.check(settings.models)
        similarity = await asyncio.to_thread(load_similarity, settings.similarity, client.url, servers.gateway_key)
        facts = {**(facts or {}), "similarity": settings.similarity, "recorded": servers.phoenix_url is not None}
        settings = replace(settings, gateway=client.url, similarity=similarity.embedder)
        plan = Plan(new_run_id(), dataset, settings)
        journal = await resources.enter_async_context(
            await Journal.create(journal_path(runs_folder, plan.run_id), plan)
        )
        for key, value in facts.items():
            await journal.run(lambda ledger, key=key, value=value: ledger.note(key, value))  # type: ignore[misc]
        engine = Engine(plan, journal, asker(client), similarity.score, metrics or {}, report=report)
        engine.observer = observer or Silent()
        engine.recorder = await _recorder(resources, plan, journal, servers, similarity, report)
        return await _finish(engine)


async def go_on(
    path: Path,
    servers: Servers,
    *,
    retry_failed: bool = False,
    changes: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    report: Report = lambda line: None,
    asker: Callable[[GatewayClient], Asker] = lambda client: client,
    metrics: Mapping[str, Metric] | None = None,
) -> RunResult:
    """Go on with a run: ask what was never answered, record what Phoenix lacks.

    Args:
        path: The run's journal.
        servers: The gateway, and Phoenix unless nothing is to be recorded.
        retry_failed: Ask again what ended in an error.
        changes: Settings that hold from now on: the pace and the limits.
        observer: Who is told how the run goes.
        report: Called with one line for each thing that takes time.
        asker: Who is asked, given the gateway's client.
        metrics: The own metrics that the run's settings name.

    Raises:
        InputError: Another process is at work on the run.
        QaEvalError: A server refuses us, or the journal cannot be written.
    """
    async with AsyncExitStack() as resources:
        journal = await resources.enter_async_context(await Journal.open(path))
        plan = await journal.run(lambda ledger: ledger.plan())
        plan = replace(plan, settings=replace(plan.settings, **(changes or {})))
        if retry_failed:
            failures = await journal.run(lambda ledger: ledger.set_failures_aside())
            report(f"{failures} failed questions are asked again")
        client = await _client(resources, plan.settings, servers)
        answered = await journal.run(lambda ledger: ledger.count("answers"))
        if answered < len(plan) and not plan.settings.asks_task:
            await client.check(plan.settings.models)
        choice = (await journal.run(lambda ledger: ledger.facts()))["similarity"]
        scorer = await asyncio.to_thread(load_similarity, choice, client.url, servers.gateway_key)
        engine = Engine(plan, journal, asker(client), scorer.score, metrics or {}, report=report)
        engine.observer = observer or Silent()
        engine.recorder = await _recorder(resources, plan, journal, servers, scorer, report)
        return await _finish(engine)


async def _client(resources: AsyncExitStack, settings: Settings, servers: Servers) -> GatewayClient:
    """The gateway's client, with connections unless an own task is asked in its place."""
    client = GatewayClient(servers.gateway_url, servers.gateway_key, timeout_s=settings.timeout_s)
    return client if settings.asks_task else await resources.enter_async_context(client)


async def _recorder(
    resources: AsyncExitStack,
    plan: Plan,
    journal: Journal,
    servers: Servers,
    similarity: SimilarityScorer,
    report: Report,
) -> Recorder | None:
    """The recorder, opened if Phoenix is there; if it is away, the run goes on and the recorder tries beside it."""
    if servers.phoenix_url is None:
        return None
    phoenix = await resources.enter_async_context(Phoenix(servers.phoenix_url, servers.phoenix_key))
    evaluations = Evaluations(similarity.evaluation, similarity.embedder, facts=plan.settings.facts)
    recorder = Recorder(phoenix, journal, plan, evaluations)
    try:
        await recorder.open(report)
    except PhoenixAway as away:
        report(f"{away} The run goes on; what is answered is kept, and recorded as soon as Phoenix is there.")
    return recorder


async def _finish(engine: Engine) -> RunResult:
    journal = engine.journal
    answered = await journal.run(lambda ledger: ledger.count("answers"))
    engine.observer.started(engine.plan, journal.path, answered)
    await engine.run()
    before = (await journal.run(lambda ledger: ledger.facts())).get("end") or {}
    end = {
        "stopped": engine.stopped,
        "unrecorded_reason": engine.unrecorded,
        "wall_s": before.get("wall_s", 0.0) + engine.answering_s,
    }
    await journal.run(lambda ledger: ledger.note("end", end))
    return await journal.run(read_result)
