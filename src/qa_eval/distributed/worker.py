"""One worker: what runs in a Ray actor. It knows neither Ray nor the journal; it does jobs and gives their results."""

from __future__ import annotations

import asyncio
import os
import pickle
import platform
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qa_eval._version import __version__
from qa_eval.data.examples import Example, SquadVersion
from qa_eval.embedding import Embedder, Vectors
from qa_eval.errors import InputError, QaEvalError
from qa_eval.metrics.base import Metric, Score
from qa_eval.metrics.custom import measure
from qa_eval.spec.model import SystemSpec
from qa_eval.targets.base import Attempt, Target
from qa_eval.targets.build import build_targets
from qa_eval.targets.function import TaskFunction
from qa_eval.targets.gateway import GatewayClient
from qa_eval.tracing.context import TraceContext, within

if TYPE_CHECKING:
    from qa_eval.tracing.provider import NestedSpans

_GATHER_S = 0.002
"""Results that come within this time travel together."""

Job = tuple[int, str, tuple[Any, ...]]
"""Its number, the worker's method, and the method's arguments."""
Result = tuple[int, Any, Exception | None]
"""The job's number, what the method returned, and what it raised."""


@dataclass(frozen=True)
class Spans:
    """Where the spans of what runs in a worker go, as `tracing.provider` has it."""

    url: str
    """Phoenix's address."""
    headers: Mapping[str, str] = field(repr=False)
    content: bool
    """Whether they may hold what was sent and answered."""


@dataclass(frozen=True)
class Setup:
    """What the workers of a stage need; what a stage does without is left empty."""

    version: SquadVersion = "1.1"
    """Which official script scores the dataset."""
    systems: Sequence[SystemSpec] = ()
    """Those that this stage asks."""
    tasks: Mapping[str, TaskFunction] = field(default_factory=dict)
    """The functions of the systems that are tasks, by the system's name."""
    timeout_s: float = 0.0
    """How long one try may take."""
    stream: bool = False
    gateway_url: str = ""
    gateway_key: str | None = field(default=None, repr=False)
    gateway_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    models: Sequence[str] = ()
    """The gateway's model groups that are asked."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """Own metrics, by name."""
    embedder: Callable[[], Embedder] | None = None
    """Loads the embedding model."""
    spans: Spans | None = None
    """None traces nothing."""


CONTENT: Mapping[str, Any] = {"systems": (), "tasks": {}, "metrics": {}}
"""The parts of a setup that can be large, and are no secrets; and what they are without them."""


@dataclass(frozen=True)
class Hello:
    """A worker that is ready, or says why it cannot be."""

    node: str
    version: str = __version__
    embedder: str = ""
    """Full name of the embedding model, where the worker has one."""
    dimensions: int = 0
    problem: QaEvalError | None = None


class Worker:
    """Does the jobs of one stage, many at once."""

    def __init__(self) -> None:
        self._results: list[Result] = []
        self._news = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._targets: Mapping[str, Target] = {}
        self._metrics: Mapping[str, Metric] = {}
        self._client: GatewayClient | None = None
        self._embedder: Embedder | None = None
        self._spans: NestedSpans | None = None
        self._lasting = ExitStack()

    async def start(
        self, version: str, folder: str, environment: Mapping[str, str], setup: bytes, content: bytes
    ) -> Hello:
        """Get ready.

        Args:
            version: The driver's; another one's setup is not read.
            folder: Searched first for the modules of own functions, where this machine has it.
            environment: Environment variables to set.
            setup: A pickled `Setup` without its content.
            content: Its content, pickled: it may name modules that only the folder has.
        """
        node = platform.node()
        if version != __version__:
            return Hello(node)
        os.environ.update(environment)
        sys.path.insert(0, folder)
        try:
            await self._set_up(replace(pickle.loads(setup), **_unpickled(content, node)))  # noqa: S301
        except QaEvalError as problem:
            return Hello(node, problem=problem)
        if self._embedder is None:
            return Hello(node)
        return Hello(node, embedder=self._embedder.name, dimensions=self._embedder.dimensions)

    async def _set_up(self, setup: Setup) -> None:
        if setup.gateway_url:
            self._client = await GatewayClient(
                setup.gateway_url, setup.gateway_key, timeout_s=setup.timeout_s, headers=setup.gateway_headers
            ).__aenter__()
            # Not every machine of a cluster reaches what the driver does; and the client learns the routing groups.
            await self._client.check(setup.models)
        self._targets = build_targets(
            setup.systems,
            version=setup.version,
            client=self._client,
            gateway_key=setup.gateway_key,
            tasks=setup.tasks,
            timeout_s=setup.timeout_s,
            stream=setup.stream,
        )
        self._metrics = setup.metrics
        if setup.spans is not None:
            from qa_eval.tracing.provider import NestedSpans, instrumented

            self._spans = NestedSpans(setup.spans.url, setup.spans.headers, lambda: 0)
            self._lasting.enter_context(instrumented(self._spans, content=setup.spans.content))
        if setup.embedder is not None:
            self._embedder = await asyncio.to_thread(setup.embedder)

    # --- jobs in, results out ---------------------------------------------------------------------------------------

    async def take(self, jobs: Sequence[Job]) -> None:
        """Begin some jobs."""
        for job in jobs:
            task = asyncio.create_task(self._do(*job))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def results(self) -> AsyncIterator[list[Result]]:
        """The results as they come, in small batches, for as long as the worker lives."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_GATHER_S)
            self._news.clear()
            results, self._results = self._results, []
            yield results

    async def send_spans_to(self, projects: Mapping[str, str]) -> None:
        """The Phoenix project of each system's experiment."""
        if self._spans is not None:
            self._spans.send_to(projects)

    async def end(self) -> None:
        """Send what is left."""
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)

    async def _do(self, number: int, method: str, arguments: tuple[Any, ...]) -> None:
        value, problem = None, None
        try:
            value = await getattr(self, method)(*arguments)
        except QaEvalError as error:
            problem = error
        except Exception as error:
            # What a library raises cannot always be pickled.
            problem = QaEvalError(f"{type(error).__name__}: {error}".splitlines()[0])
        self._results.append((number, value, problem))
        self._news.set()

    # --- what can be asked for --------------------------------------------------------------------------------------

    async def answer(self, system: str, example: Example, trace: TraceContext | None) -> Attempt:
        """One try of a system at an example."""
        return await self._targets[system].generate(example, trace)

    async def complete(self, *arguments: Any) -> Attempt:
        """One chat completion by the gateway; see `GatewayClient.complete`."""
        assert self._client is not None, "the stage has a gateway"
        return await self._client.complete(*arguments)

    async def measure(self, metric: str, example: Example, answer: str, trace: TraceContext | None) -> Score | None:
        """An own metric's score of an answer."""
        (score,) = await measure(metric, self._metrics[metric], [(example, answer, partial(within, trace))])
        return score

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """A vector for each text."""
        assert self._embedder is not None, "the stage has an embedder"
        return await asyncio.to_thread(self._embedder.embed, texts)


def _unpickled(content: bytes, node: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = pickle.loads(content)  # noqa: S301
    except ModuleNotFoundError as error:
        raise InputError(
            f"The worker on {node} has no module {error.name!r}: ship it with `ray.runtime_env`, or install it there."
        ) from None
    return found
