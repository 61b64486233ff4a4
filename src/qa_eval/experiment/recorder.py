"""What the journal has, into Phoenix: a trace, a run and its evaluations for each answer, beside the answering.

The journal is the queue: the recorder takes what is scored and not yet recorded and posts it over few connections
(Phoenix's server is the limit, not the network). It retries posts, but never asks a model. What cannot be recorded
stays in the journal, for `resume`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

import httpx
from openinference.semconv.trace import OpenInferenceSpanKindValues

from qa_eval.data.examples import Dataset, PhoenixOrigin
from qa_eval.data.upload import upload_dataset
from qa_eval.errors import PhoenixUnavailable
from qa_eval.experiment.answers import Answer, JudgeCall
from qa_eval.experiment.async_journal import AsyncJournal
from qa_eval.experiment.evaluations import evaluations_of
from qa_eval.experiment.metadata import PhoenixExperiment, Recording, experiments_page
from qa_eval.experiment.observer import OnProgress
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.prices import price_models
from qa_eval.experiment.record_policy import RecordPolicy, went_wrong
from qa_eval.experiment.results import RunResult
from qa_eval.phoenix.client import Phoenix
from qa_eval.phoenix.experiments import ExperimentRun, held_evaluations, log_evaluation, log_run
from qa_eval.spec.model import SystemSpec
from qa_eval.targets.gateway import GatewayClient
from qa_eval.tracing.export import SpanSender
from qa_eval.tracing.finished import FinishedSpan
from qa_eval.words import counted

CONNECTIONS = 4
NOT_WANTED = ""
"""In place of Phoenix's id of a run, for an answer that it does not get."""
SPANS = 128
"""The most spans that are sent together."""
_PATCH = "mutation ($input: PatchExperimentInput!) { patchExperiment(input: $input) { experiment { id } } }"


class Nested(Protocol):
    """What sends the spans below the questions' own."""

    def send_to(self, projects: Mapping[str, str]) -> None:
        """The Phoenix project of each system's experiment: from now on spans can be exported."""


class Recorder:
    """Records one run. `open` first: it brings the dataset and the experiments into Phoenix."""

    def __init__(
        self,
        phoenix: Phoenix,
        journal: AsyncJournal,
        plan: Plan,
        *,
        gateway: GatewayClient | None = None,
        nested: Nested | None = None,
    ) -> None:
        """
        Args:
            phoenix: The server.
            journal: Where answers come from, and where is kept what Phoenix has.
            plan: The run.
            gateway: Its gateway, which knows the prices of its models.
            nested: The spans of what runs in this process, or in workers, which learn from here where to go.
        """
        self._phoenix = phoenix
        self._journal = journal
        self._plan = plan
        self._spans = SpanSender(phoenix.url, phoenix.headers)
        self._gateway = gateway
        self._nested = nested
        self._policy = RecordPolicy(plan.spec.recording.examples)
        ids = (example.id for example in plan.dataset)
        self._wanted = None if self._policy.is_whole else self._policy.sample(ids)
        """Ids of the examples that Phoenix gets; None: all."""
        self._wanted_spans: frozenset[str | None] | None = None
        self._node_ids: Mapping[str, str] = {}
        self.recording: Recording | None = None
        """None until Phoenix has the run's experiments."""

    @property
    def waits(self) -> bool:
        """Whether it can be opened only when all answers have their scores."""
        return self._policy.waits

    def wants(self, example_id: str) -> bool:
        """Whether Phoenix gets the answers to an example, as far as is known."""
        return self._wanted is None or self._policy.waits or example_id in self._wanted

    async def check(self) -> None:
        """Make sure that Phoenix is there.

        Raises:
            PhoenixError: It is not, or refuses the key.
        """
        await self._phoenix.check()

    async def open(self, on_progress: OnProgress) -> None:
        """Dataset and experiments into Phoenix, so that answers can follow; an earlier process's are used again.

        Raises:
            PhoenixUnavailable: Phoenix does not answer.
            PhoenixError: Phoenix refuses, or holds another dataset under this name.
        """
        try:
            await self._phoenix.check()
            if self._plan.spec.recording.prices:
                await self._price(on_progress)
            if self._policy.waits:
                await self._find_failures()
            stored = self._plan.dataset.origin or await self._upload(on_progress)
            recording = await self._earlier(stored) or await self._create(stored)
        except httpx.HTTPError as error:
            raise PhoenixUnavailable(
                f"Phoenix at {self._phoenix.url} does not answer ({error}): see its log."
            ) from None
        await self._journal.set_recording(recording)
        self._node_ids = stored.node_ids
        self.recording = recording
        if self._nested is not None:
            self._nested.send_to({name: experiment.project for name, experiment in recording.experiments.items()})

    async def record(self, answers: Sequence[Answer]) -> None:
        """Record some answers with their evaluations, and keep of each that Phoenix has it.

        Raises:
            PhoenixError: Phoenix stays unavailable or refuses; what is missing remains in the journal.
        """
        connections = asyncio.Semaphore(CONNECTIONS)

        async def one(answer: Answer) -> tuple[Answer, str]:
            if not self._is_wanted(answer):
                return answer, NOT_WANTED
            async with connections:
                return answer, await self._record_one(answer)

        done = await asyncio.gather(*(one(answer) for answer in answers), return_exceptions=True)
        await self._journal.add_recorded([pair for pair in done if not isinstance(pair, BaseException)])
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def trace(self, answers: Sequence[Answer]) -> None:
        """Send the questions' own spans; Phoenix leaves a span that it has as it is.

        Raises:
            PhoenixError: Phoenix stays unavailable or refuses.
        """
        await self._phoenix.send(
            self._spans.send, [self._span(each) for each in answers if each.reply.trace_id and self._is_wanted(each)]
        )

    async def trace_calls(self, calls: Sequence[JudgeCall]) -> None:
        """Send the spans of judges' calls; those of planted answers have none.

        Raises:
            PhoenixError: Phoenix stays unavailable or refuses.
        """
        wanted = self._wanted_spans
        traced = [call for call in calls if call.reply.trace_id and (wanted is None or call.parent_span_id in wanted)]
        await self._phoenix.send(self._spans.send, [self._call_span(call) for call in traced])

    async def trace_again(self, answers: Sequence[Answer], calls: Sequence[JudgeCall]) -> None:
        """Send spans again, where Phoenix was away meanwhile: it takes a span before it has stored it.

        Raises:
            PhoenixError: Phoenix stays unavailable or refuses.
        """
        if not self._phoenix.count_outages():
            return
        for start in range(0, len(answers), SPANS):
            await self.trace(answers[start : start + SPANS])
        for start in range(0, len(calls), SPANS):
            await self.trace_calls(calls[start : start + SPANS])

    async def missing(self, answers: Sequence[Answer]) -> list[Answer]:
        """Which of these answers Phoenix lacks, or lacks an evaluation of: asked of Phoenix, not of the journal.

        Raises:
            PhoenixError: Phoenix does not answer.
        """
        assert self.recording is not None, "opened before"
        held = {
            system: await held_evaluations(self._phoenix, experiment.id)
            for system, experiment in self.recording.experiments.items()
        }
        wanted = (answer for answer in answers if self._is_wanted(answer))
        return [answer for answer in wanted if not self._is_held(answer, held[answer.system])]

    async def describe(self, result: RunResult) -> None:
        """Put each system's scores, with their intervals, into its experiment's metadata.

        Raises:
            PhoenixError: Phoenix stays unavailable or refuses.
        """
        for experiment in result.experiments:
            await self._phoenix.query(
                _PATCH,
                input={
                    "experimentId": self._recorded(experiment.system).id,
                    "metadata": self._metadata(experiment.system)
                    | {"scores": experiment.intervals()}
                    | _early_stop(result, experiment.system),
                },
            )

    # --- dataset and experiments ------------------------------------------------------------------------------------

    async def _price(self, on_progress: OnProgress) -> None:
        if problem := await price_models(self._phoenix, self._gateway, self._plan.metadata.systems, wait=True):
            on_progress(problem)

    async def _find_failures(self) -> None:
        """What went wrong is known by now: it is wanted too, with all systems' answers to the example."""
        answers = await self._journal.answers()
        primary = self._plan.metadata.primary[0]
        failed = {answer.example.id for answer in answers if went_wrong(answer, primary)}
        self._wanted = frozenset(failed) | self._policy.sample(example.id for example in self._plan.dataset)
        self._wanted_spans = frozenset(answer.reply.span_id for answer in answers if self._is_wanted(answer))

    def _is_wanted(self, answer: Answer) -> bool:
        return self._wanted is None or answer.example.id in self._wanted

    def _part(self) -> Dataset:
        """The dataset as Phoenix gets it."""
        dataset = self._plan.dataset
        return dataset if self._wanted is None else self._policy.part(dataset, self._wanted, self._plan.metadata.run_id)

    async def _upload(self, on_progress: OnProgress) -> PhoenixOrigin:
        stored = await upload_dataset(self._phoenix.client, self._part(), log=on_progress)
        return PhoenixOrigin(stored.id, stored.version_id, stored.node_ids)

    async def _earlier(self, stored: PhoenixOrigin) -> Recording | None:
        """The experiments that an earlier process of this run has made, if this Phoenix still has them."""
        earlier = await self._journal.recording()
        if earlier is None:
            return None
        if earlier.dataset_id != stored.dataset_id:
            await self._journal.forget_recorded(await self._journal.answers())
            return None
        experiments = {}
        for system, experiment in earlier.experiments.items():
            if await self._phoenix.get(f"v1/experiments/{experiment.id}") is None:
                await self._journal.forget_recorded(await self._journal.answers())
                return None
            url = experiments_page(self._phoenix.url, earlier.dataset_id, experiment.id)
            experiments[system] = experiment.model_copy(update={"url": url})
        return Recording(url=self._phoenix.url, dataset_id=earlier.dataset_id, experiments=experiments)

    async def _create(self, stored: PhoenixOrigin) -> Recording:
        experiments = {
            str(system.name): await self._create_experiment(stored, system) for system in self._plan.metadata.systems
        }
        return Recording(url=self._phoenix.url, dataset_id=stored.dataset_id, experiments=experiments)

    async def _create_experiment(self, stored: PhoenixOrigin, system: SystemSpec) -> PhoenixExperiment:
        """Create one system's experiment on this version of the dataset."""
        metadata, dataset = self._plan.metadata, self._plan.dataset
        experiment = await self._phoenix.client.experiments.create(
            dataset_id=stored.dataset_id,
            dataset_version_id=stored.version_id,
            experiment_name=f"{metadata.label} / {system.name}",
            experiment_description=f"{system.name} on {counted(len(dataset), 'question')} of {dataset.name}"
            + (f"; {self._recorded_words()}" if self._wanted is not None else ""),
            experiment_metadata=self._metadata(str(system.name)),
            repetitions=metadata.spec.repeat,
        )
        url = experiments_page(self._phoenix.url, stored.dataset_id, experiment["id"])
        project = str(experiment.get("project_name") or "default")
        return PhoenixExperiment(id=experiment["id"], project=project, url=url)

    def _recorded_words(self) -> str:
        """What of the run is here; its scores with their intervals are of all answers."""
        return (
            f"{len(self._wanted or ())} of {counted(len(self._plan.dataset), 'example')} recorded ({self._policy.text})"
        )

    def _metadata(self, name: str) -> dict[str, Any]:
        """What an experiment says of how it was made."""
        metadata = self._plan.metadata
        system = next(system for system in metadata.systems if system.name == name)
        return {
            "run": metadata.run_id,
            "name": metadata.spec.name,
            "system": system.name,
            "model": system.model,
            "prompt": None if system.prompt is None else system.prompt.source,
            "prompt_version": None if system.prompt is None else system.prompt.version,
            "commit": metadata.commit,
            "embedder": metadata.embedder,
            **({} if self._wanted is None else {"recorded": self._recorded_words()}),
            "spec": metadata.spec.to_data(),
        }

    # --- answers ----------------------------------------------------------------------------------------------------

    async def _record_one(self, answer: Answer) -> str:
        reply, failure = answer.reply, _failure(answer)
        run = ExperimentRun(
            example_id=self._node_ids[answer.example.id],
            repetition=answer.repetition,
            output={"answer": reply.text} if failure is None else None,
            started_at=reply.started_at,
            ended_at=reply.started_at + timedelta(seconds=reply.latency_s),
            trace_id=reply.trace_id,
            error=failure,
        )
        run_id = await log_run(self._phoenix, self._recorded(answer.system).id, run)
        for evaluation in evaluations_of(answer, self._plan.metadata):
            await log_evaluation(self._phoenix, run_id, evaluation)
        return run_id

    def _span(self, answer: Answer) -> FinishedSpan:
        reply, content = answer.reply, self._plan.spec.recording.trace_content
        return FinishedSpan(
            name="question",
            kind=OpenInferenceSpanKindValues.CHAIN,
            trace_id=reply.trace_id or "",
            span_id=reply.span_id or "",
            project=self._recorded(answer.system).project,
            started_at=reply.started_at,
            latency_s=reply.latency_s,
            failure=_failure(answer),
            input=answer.example.question if content else None,
            output=reply.text if content else None,
            attributes={
                "qa_eval.system": answer.system,
                "qa_eval.example": answer.example.id,
                "qa_eval.repetition": answer.repetition,
                "qa_eval.outcome": str(reply.outcome),
                "qa_eval.deployment": reply.deployment_model or reply.deployment,
                "qa_eval.cost_usd": reply.cost_usd,
                "qa_eval.first_token_s": reply.first_token_s,
            },
        )

    def _call_span(self, call: JudgeCall) -> FinishedSpan:
        reply, content = call.reply, self._plan.spec.recording.trace_content
        return FinishedSpan(
            name=f"judge {call.metric}",
            kind=OpenInferenceSpanKindValues.EVALUATOR,
            trace_id=reply.trace_id or "",
            span_id=reply.span_id or "",
            parent_span_id=call.parent_span_id,
            project=self._recorded(str(call.system)).project,
            started_at=reply.started_at,
            latency_s=reply.latency_s,
            failure=call.failure,
            output=reply.text if content else None,
            attributes={"qa_eval.judge": call.model, "qa_eval.cost_usd": reply.cost_usd},
        )

    def _recorded(self, system: str) -> PhoenixExperiment:
        assert self.recording is not None, "opened before"
        return self.recording.experiments[system]

    def _is_held(self, answer: Answer, held: Mapping[tuple[str, int], set[str]]) -> bool:
        names = held.get((self._node_ids[answer.example.id], answer.repetition))
        expected = {evaluation.name for evaluation in evaluations_of(answer, self._plan.metadata)}
        return names is not None and names >= expected


def _early_stop(result: RunResult, system: str) -> dict[str, Any]:
    """What the looks at a candidate came to; nothing where there were none."""
    looks = [look.to_json() for look in result.looks if look.candidate == system]
    return {"stop": {"metric": result.metadata.primary[0], "looks": looks}} if looks else {}


def _failure(answer: Answer) -> str | None:
    reply = answer.reply
    return None if reply.outcome.is_answer else f"{reply.outcome}: {reply.message}"
