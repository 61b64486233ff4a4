"""One run from its servers to its result: opens what the engine needs, and closes it in any case."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from qa_eval.errors import PhoenixUnavailable
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.engine import Engine
from qa_eval.experiment.functions import Functions
from qa_eval.experiment.metadata import RunEnd, Servers
from qa_eval.experiment.observer import RunContext
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.recorder import Recorder
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import read_result
from qa_eval.experiment.scoring import SIMILARITY, Scorer, SimilarityScorer, load_similarity
from qa_eval.phoenix.client import Phoenix
from qa_eval.targets.build import asks_gateway, build_targets
from qa_eval.targets.gateway import GatewayClient


@dataclass(frozen=True)
class Run:
    """A run that only has to be executed: everything is checked, the local stack is up where it is used."""

    plan: Plan
    journal: Path
    servers: Servers
    functions: Functions = field(default_factory=Functions)
    context: RunContext = field(default_factory=RunContext)
    resumes: bool = False
    """Whether its journal exists already."""
    retry_failed: bool = False
    """Whether what ended in an error is asked again."""


async def execute(run: Run) -> RunResult:
    """Ask what is not answered yet, score and record it.

    Raises:
        InputError: Another process is at work on the run.
        QaEvalError: A server refuses us, or the journal cannot be written.
    """
    async with AsyncExitStack() as resources:
        journal = await _open(resources, run) if run.resumes else None
        plan, servers = run.plan, run.servers
        client = GatewayClient(servers.gateway_url, servers.gateway_key, timeout_s=plan.spec.limits.timeout)
        if servers.gateway_url:
            await resources.enter_async_context(client)
        if journal is None or await journal.count_answers() < len(plan):
            await _check_models(client, plan)
        similarity = await _similarity(plan, servers)
        if journal is None:
            plan = _with_embedder(plan, similarity)
            journal = await resources.enter_async_context(await AsyncJournal.create(run.journal, plan))
        engine = Engine(
            plan,
            journal,
            build_targets(
                plan.metadata.systems,
                version=plan.dataset.version,
                client=client,
                gateway_key=servers.gateway_key,
                tasks=run.functions.tasks,
                timeout_s=plan.spec.limits.timeout,
            ),
            Scorer(
                plan.dataset,
                [metric.name for metric in plan.spec.metrics],
                None if similarity is None else similarity.score,
                run.functions.metrics,
            ),
            await _recorder(resources, plan, journal, servers, run.context),
            run.context,
        )
        return await _finish(engine)


async def _open(resources: AsyncExitStack, run: Run) -> AsyncJournal:
    journal = await resources.enter_async_context(await AsyncJournal.open(run.journal))
    if run.retry_failed:
        run.context.on_progress(f"{await journal.discard_failures()} failed questions are asked again")
    return journal


async def _check_models(client: GatewayClient, plan: Plan) -> None:
    models = [str(system.model) for system in plan.metadata.systems if asks_gateway(system)]
    if models:
        await client.check(list(dict.fromkeys(models)))


async def _similarity(plan: Plan, servers: Servers) -> SimilarityScorer | None:
    """The similarity, where it is a metric of the run."""
    if SIMILARITY not in [metric.name for metric in plan.spec.metrics]:
        return None
    return await asyncio.to_thread(load_similarity, plan.spec.similarity, servers.gateway_url, servers.gateway_key)


def _with_embedder(plan: Plan, similarity: SimilarityScorer | None) -> Plan:
    embedder = "" if similarity is None else similarity.embedder
    return replace(plan, metadata=plan.metadata.model_copy(update={"embedder": embedder}))


async def _recorder(
    resources: AsyncExitStack, plan: Plan, journal: AsyncJournal, servers: Servers, context: RunContext
) -> Recorder | None:
    """The recorder, opened if Phoenix is there; if not, the run continues and the recorder tries beside it."""
    if servers.phoenix_url is None:
        return None
    phoenix = await resources.enter_async_context(Phoenix(servers.phoenix_url, servers.phoenix_key))
    recorder = Recorder(phoenix, journal, plan)
    try:
        await recorder.open(context.on_progress)
    except PhoenixUnavailable as problem:
        context.on_progress(
            f"{problem} The run continues; its answers are kept, and recorded as soon as Phoenix is available."
        )
    return recorder


async def _finish(engine: Engine) -> RunResult:
    journal = engine.journal
    engine.context.observer.started(engine.plan, journal.path, await journal.count_answers())
    await engine.run()
    earlier = await journal.end()
    await journal.set_end(
        RunEnd(
            stopped=engine.stopped,
            unrecorded_reason=engine.unrecorded,
            wall_s=earlier.wall_s + engine.answering_s,
        )
    )
    return await journal.read(read_result)
