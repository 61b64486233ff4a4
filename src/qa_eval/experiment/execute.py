"""One run from its servers to its result: opens what the engine needs, and closes it in any case."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from qa_eval.errors import PhoenixError, PhoenixUnavailable
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
from qa_eval.targets.build import asks_gateway, build_targets, is_traced
from qa_eval.targets.gateway import GatewayClient
from qa_eval.tracing.provider import NestedSpans, instrumented


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
        client = await _gateway(resources, servers, plan.spec.limits.timeout)
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
            await _recorder(resources, run, plan, journal, client),
            run.context,
        )
        return await _finish(engine)


async def _open(resources: AsyncExitStack, run: Run) -> AsyncJournal:
    journal = await resources.enter_async_context(await AsyncJournal.open(run.journal))
    if run.retry_failed:
        run.context.on_progress(f"{await journal.discard_failures()} failed questions are asked again")
    return journal


async def _gateway(resources: AsyncExitStack, servers: Servers, timeout_s: float) -> GatewayClient | None:
    if not servers.gateway_url:
        return None
    client = GatewayClient(servers.gateway_url, servers.gateway_key, timeout_s=timeout_s)
    return await resources.enter_async_context(client)


async def _check_models(client: GatewayClient | None, plan: Plan) -> None:
    models = [str(system.model) for system in plan.metadata.systems if asks_gateway(system)]
    if models and client is not None:
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
    resources: AsyncExitStack, run: Run, plan: Plan, journal: AsyncJournal, gateway: GatewayClient | None
) -> Recorder | None:
    """The recorder, opened if Phoenix is there; if not, the run continues and the recorder tries beside it."""
    servers, on_progress = run.servers, run.context.on_progress
    if servers.phoenix_url is None:
        return None
    phoenix = await resources.enter_async_context(Phoenix(servers.phoenix_url, servers.phoenix_key))
    nested = _nested_spans(resources, run, plan, phoenix)
    recorder = Recorder(phoenix, journal, plan, gateway=gateway, nested=nested)
    try:
        await recorder.open(on_progress)
    except PhoenixUnavailable as problem:
        on_progress(f"{problem} The run continues; its answers are kept, and recorded as soon as Phoenix is available.")
    return recorder


def _nested_spans(resources: AsyncExitStack, run: Run, plan: Plan, phoenix: Phoenix) -> NestedSpans | None:
    """The spans of what runs in this process, where something does that can leave one."""
    recording = plan.spec.recording
    calls_here = bool(run.functions.metrics) or any(map(is_traced, plan.metadata.systems))
    if recording.trace == "none" or not calls_here:
        return None
    nested = NestedSpans(phoenix.url, phoenix.headers, phoenix.count_outages)
    resources.push_async_callback(asyncio.to_thread, nested.close)
    resources.enter_context(instrumented(nested, content=recording.trace_content))
    return nested


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
    result = await journal.read(read_result)
    if engine.recorder is not None and not result.unrecorded:
        try:
            await engine.recorder.describe(result)
        except PhoenixError as problem:
            engine.context.on_progress(f"The scores' intervals are not in Phoenix: {problem}")
    return result
