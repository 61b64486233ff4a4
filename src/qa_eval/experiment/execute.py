"""One run from its servers to its result: opens what the engine needs, and closes it in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qa_eval.errors import PhoenixError, PhoenixUnavailable
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.budget import Budget
from qa_eval.experiment.calibration import plant, warning_of
from qa_eval.experiment.engine import Engine
from qa_eval.experiment.functions import Functions, built_in, find_judges
from qa_eval.experiment.judging import Completes, Judging
from qa_eval.experiment.metadata import RunEnd, Servers
from qa_eval.experiment.observer import RunContext
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.record_policy import recording_seconds, recording_words
from qa_eval.experiment.recorder import Recorder
from qa_eval.experiment.remote import computed_by_workers, leaves_spans, open_workers
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import read_result
from qa_eval.experiment.scoring import Scorer, SimilarityScorer, load_similarity, similarity_by
from qa_eval.experiment.stopping import Stopping
from qa_eval.metrics.base import Metric
from qa_eval.metrics.judges import Judge, PreferenceJudge
from qa_eval.metrics.registry import SIMILARITY
from qa_eval.phoenix.client import Phoenix
from qa_eval.targets.base import Target
from qa_eval.targets.build import asks_gateway, build_targets
from qa_eval.targets.gateway import GatewayClient
from qa_eval.tracing.provider import NestedSpans, instrumented
from qa_eval.words import counted

_LONG_S = 60.0
"""Recording that takes longer is said beforehand."""

if TYPE_CHECKING:
    from qa_eval.distributed.workers import Workers


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
    """Whether what ended in an error is asked, or judged, again."""
    asks: bool = True
    """Whether questions are asked; otherwise only scores are added."""


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
        asks = journal is None or await journal.count_answers() < len(plan)
        models = _models(plan, asks=asks)
        if models and client is not None:
            await client.check(models)
        workers = await open_workers(resources, plan, servers, run.functions, models, asks=asks and run.asks)
        similarity = await _similarity(plan, servers, workers)
        if journal is None or not run.asks:
            plan = _with_embedder(plan, similarity)
        if journal is None:
            journal = await resources.enter_async_context(await AsyncJournal.create(run.journal, plan))
        elif not run.asks:
            await _add_metrics(journal, plan)
        judges = find_judges(plan.spec, plan.dataset.fields)
        for warning in dict.fromkeys(warning_of(plan, judge) for judge in judges):
            if warning is not None:
                run.context.on_progress(f"Warning: {warning}.")
        return await _finish(await _engine(resources, run, plan, journal, client, similarity, workers))


async def _engine(
    resources: AsyncExitStack,
    run: Run,
    plan: Plan,
    journal: AsyncJournal,
    client: GatewayClient | None,
    similarity: SimilarityScorer | None,
    workers: Workers | None,
) -> Engine:
    """The engine of a run, with its targets, its judges and its recorder."""
    spec, version = plan.spec, plan.dataset.version
    judges = find_judges(spec, plan.dataset.fields)
    planted = plant(judges, plan)
    budget = Budget(
        spec.limits,
        len(plan),
        judgements=sum(2 if isinstance(judge, PreferenceJudge) else 1 for judge in judges),
        planted=sum(map(len, planted.values())),
    )
    judging = _judging(plan, judges, client if workers is None else workers.client, journal, budget)
    return Engine(
        plan,
        journal,
        _targets(run, plan, client, workers),
        Scorer(
            version,
            [plan.metadata.definitions[metric.name] for metric in spec.metrics if not metric.judge],
            {**built_in(spec, version), **_own_metrics(run, plan, workers)},
            None if similarity is None else similarity.score,
            None if judging is None else judging.llm_caller,
        ),
        budget,
        judging,
        _stopping(plan, journal) if run.asks else None,
        planted,
        await _recorder(resources, run, plan, journal, client, workers),
        run.context,
        asks=run.asks,
    )


def _targets(run: Run, plan: Plan, client: GatewayClient | None, workers: Workers | None) -> Mapping[str, Target]:
    if not run.asks:
        return {}
    if workers is not None:
        return workers.targets(plan.metadata.system_names)
    return build_targets(
        plan.metadata.systems,
        version=plan.dataset.version,
        client=client,
        gateway_key=run.servers.gateway_key,
        tasks=run.functions.tasks,
        timeout_s=plan.spec.limits.timeout,
        stream=plan.spec.stream,
    )


def _own_metrics(run: Run, plan: Plan, workers: Workers | None) -> Mapping[str, Metric]:
    own = run.functions.metrics
    return own if workers is None else {**own, **workers.metrics(computed_by_workers(plan, run.functions))}


def _stopping(plan: Plan, journal: AsyncJournal) -> Stopping | None:
    design = plan.metadata.stop
    return None if design is None else Stopping(plan, design, journal)


def _judging(
    plan: Plan,
    judges: Sequence[Judge | PreferenceJudge],
    client: Completes | None,
    journal: AsyncJournal,
    budget: Budget,
) -> Judging | None:
    if not any(metric.source == "judge" for metric in plan.metadata.definitions.values()):
        return None
    assert client is not None, "its servers were checked"
    return Judging(
        judges,
        client,
        journal,
        budget,
        concurrency=plan.spec.slots,
        version=plan.dataset.version,
        baseline=plan.metadata.baseline,
    )


async def _add_metrics(journal: AsyncJournal, plan: Plan) -> None:
    """Keep the metrics that `evaluate` adds to a run; what is scored and recorded without them is not complete."""
    if (await journal.plan()).spec.metrics != plan.spec.metrics:
        await journal.set_metadata(plan.metadata)
        await journal.reopen_scores()


async def _open(resources: AsyncExitStack, run: Run) -> AsyncJournal:
    journal = await resources.enter_async_context(await AsyncJournal.open(run.journal))
    if run.retry_failed:
        run.context.on_progress(f"{await journal.discard_failures()} failed questions are asked again")
        if again := await journal.discard_failed_calls():
            run.context.on_progress(f"{counted(again, 'answer')} without all scores are scored again")
    return journal


async def _gateway(resources: AsyncExitStack, servers: Servers, timeout_s: float) -> GatewayClient | None:
    if not servers.gateway_url:
        return None
    client = GatewayClient(
        servers.gateway_url, servers.gateway_key, timeout_s=timeout_s, headers=servers.gateway_headers
    )
    return await resources.enter_async_context(client)


def _models(plan: Plan, *, asks: bool) -> list[str]:
    """The gateway's model groups that are asked, as systems or as judges."""
    models = [str(system.model) for system in plan.metadata.systems if asks and asks_gateway(system)]
    models += [model for name in plan.metadata.definitions if (model := plan.metadata.judge_model(name))]
    return list(dict.fromkeys(models))


async def _similarity(plan: Plan, servers: Servers, workers: Workers | None) -> SimilarityScorer | None:
    """The similarity, where it is a metric of the run."""
    if SIMILARITY not in plan.metadata.definitions:
        return None
    if workers is not None:
        assert workers.embedder is not None, "opened where a metric needs it"
        return similarity_by(workers.embedder)
    return await asyncio.to_thread(load_similarity, plan.spec.similarity, servers.gateway_url, servers.gateway_key)


def _with_embedder(plan: Plan, similarity: SimilarityScorer | None) -> Plan:
    embedder = "" if similarity is None else similarity.embedder
    return replace(plan, metadata=plan.metadata.model_copy(update={"embedder": embedder}))


async def _recorder(
    resources: AsyncExitStack,
    run: Run,
    plan: Plan,
    journal: AsyncJournal,
    gateway: GatewayClient | None,
    workers: Workers | None,
) -> Recorder | None:
    """The recorder, opened if Phoenix is there; if not, the run continues and the recorder tries beside it."""
    servers, on_progress = run.servers, run.context.on_progress
    if servers.phoenix_url is None:
        return None
    phoenix = await resources.enter_async_context(Phoenix(servers.phoenix_url, servers.phoenix_key))
    nested = _nested_spans(resources, run, plan, phoenix) if workers is None else workers
    recorder = Recorder(phoenix, journal, plan, gateway=gateway, nested=nested)
    try:
        await (recorder.check() if recorder.waits else recorder.open(on_progress))
    except PhoenixUnavailable as problem:
        on_progress(f"{problem} The run continues; its answers are kept, and recorded as soon as Phoenix is available.")
    if (seconds := recording_seconds(plan)) > _LONG_S:
        words = recording_words(plan.spec.recording.examples, seconds)
        on_progress(f"{words}; `record_examples` sample:N records fewer.")
    return recorder


def _nested_spans(resources: AsyncExitStack, run: Run, plan: Plan, phoenix: Phoenix) -> NestedSpans | None:
    """The spans of what runs in this process, where something does that can leave one."""
    if not leaves_spans(plan, run.functions):
        return None
    nested = NestedSpans(phoenix.url, phoenix.headers, phoenix.count_outages)
    resources.push_async_callback(asyncio.to_thread, nested.close)
    resources.enter_context(instrumented(nested, content=plan.spec.recording.trace_content))
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
