"""The workers of one stage, and what becomes of their jobs when one dies.

A job goes to the worker that has the fewest. A worker that dies is replaced, and what it had in flight is done again
elsewhere. Who is at fault is not known at first; so a job that has lost two workers gets one that does nothing else
meanwhile, and if that one dies too, it was the job.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayActorError, RuntimeEnvSetupError

from qa_eval._version import __version__
from qa_eval.distributed.worker import Hello, Job, Result, Worker
from qa_eval.errors import ClusterError, QaEvalError
from qa_eval.spec.ray import RayStage

MOST_DEATHS = 3
"""A job that so many workers died of is given up."""
_GATHER_S = 0.002
"""Jobs that come within this time travel together."""
_ENDING_S = 25.0
"""How long workers may take to send the spans that are left."""
_MOST_FAILURES = 3
"""A place whose workers fail so often before they are ready gets no other one, if there is nobody else."""


class WorkerDied(Exception):
    """Every worker that did this job died."""

    def __init__(self) -> None:
        super().__init__(f"the worker died {MOST_DEATHS} times while it worked on this")


@dataclass(eq=False)
class _Job:
    """A job that is not done yet."""

    method: str
    arguments: tuple[Any, ...]
    done: asyncio.Future[Any]
    deaths: int = 0


@dataclass(eq=False)
class _Member:
    """A worker's place in the pool; the actor in it changes when it dies."""

    in_flight: dict[int, _Job] = field(default_factory=dict)
    outbox: list[Job] = field(default_factory=list)
    actor: Any = None
    placed: bool = False
    """Whether the cluster has given it its resources."""
    ready: bool = False
    alone: bool = False
    """Whether it does one suspected job and nothing else."""


@dataclass(frozen=True)
class Payload:
    """What every worker of a stage is started with."""

    folder: str
    environment: Mapping[str, str] = field(repr=False)
    setup: bytes = field(repr=False)
    content: bytes = field(repr=False)
    """What is large and not secret: Ray may keep it in its object store, and in files if that is full."""


class Pool:
    """The workers of one stage."""

    def __init__(self, name: str, stage: RayStage, workers: int, payload: Payload, wait_s: float) -> None:
        """
        Args:
            name: The stage's, as the specification has it.
            stage: What each worker reserves.
            workers: Their number.
            payload: What each is started with.
            wait_s: How long the pool may be without any worker.
        """
        self._name, self._stage, self._payload, self._wait_s = name, stage, payload, wait_s
        self._members = [_Member() for _ in range(workers)]
        self._numbers = count()
        self._waiting: deque[_Job] = deque()
        self._suspects: deque[_Job] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._told: list[tuple[str, tuple[Any, ...]]] = []
        self._hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._placed = asyncio.Event()
        self._failure: QaEvalError | None = None

    async def open(self) -> None:
        """Start the workers; returns as soon as one has its place, and the others follow as the cluster has room."""
        self._tasks = [asyncio.create_task(self._keep(member)) for member in self._members]
        self._tasks.append(asyncio.create_task(self._watch()))
        placed = asyncio.create_task(self._placed.wait())
        await asyncio.wait((placed, self._hello), return_when=asyncio.FIRST_COMPLETED)
        placed.cancel()

    async def hello(self) -> Hello:
        """What the first worker is, once it is ready.

        Raises:
            QaEvalError: None can be started; the message says what to do.
        """
        return await self._hello

    async def close(self) -> None:
        """Stop the workers."""
        self._hello.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, self._hello, return_exceptions=True)
        ends = (member.actor.end.remote() for member in self._members if member.ready)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*ends, return_exceptions=True), _ENDING_S)
        for member in self._members:
            _kill(member)

    def tell(self, method: str, *arguments: Any) -> None:
        """Call a method of all workers, those to come included, and wait for nothing."""
        self._told.append((method, arguments))
        for member in self._members:
            if member.ready:
                getattr(member.actor, method).remote(*arguments)

    async def call(self, method: str, *arguments: Any) -> Any:
        """What a method of some worker returns.

        Raises:
            WorkerDied: No worker survives it.
            QaEvalError: The method raised it, or there are no workers any more.
        """
        if self._failure is not None:
            raise self._failure
        job = _Job(method, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._dispatch()
        return await job.done

    # --- jobs -------------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Send what waits to whom may take it."""
        reserved = self._send_suspects()
        while self._waiting and (member := self._least_busy(reserved)) is not None:
            self._send(member, self._waiting.popleft())

    def _send_suspects(self) -> _Member | None:
        """Send suspected jobs to idle workers; returns the worker that gets no other job until it is idle."""
        while self._suspects:
            member = self._least_busy(None)
            if member is None or member.in_flight:
                return member
            member.alone = True
            self._send(member, self._suspects.popleft())
        return None

    def _least_busy(self, reserved: _Member | None) -> _Member | None:
        free = (each for each in self._members if each.ready and not each.alone and each is not reserved)
        return min(free, key=lambda each: len(each.in_flight), default=None)

    def _send(self, member: _Member, job: _Job) -> None:
        if not member.outbox:
            asyncio.get_running_loop().call_later(_GATHER_S, self._flush, member)
        number = next(self._numbers)
        member.in_flight[number] = job
        member.outbox.append((number, job.method, job.arguments))

    def _flush(self, member: _Member) -> None:
        jobs, member.outbox = member.outbox, []
        if jobs and member.ready:
            member.actor.take.options(num_returns=0).remote(jobs)

    def _received(self, member: _Member, results: Sequence[Result]) -> None:
        for number, value, problem in results:
            job = member.in_flight.pop(number)
            if job.done.done():
                continue  # whoever waited for it was cancelled
            if problem is None:
                job.done.set_result(value)
            else:
                job.done.set_exception(problem)
        member.alone = member.alone and bool(member.in_flight)
        self._dispatch()

    def _lost(self, member: _Member) -> None:
        """A worker is no more: what it had in flight is done again, unless it has died of that too often."""
        lost, member.in_flight, member.outbox = [*member.in_flight.values()], {}, []
        _kill(member)
        for job in lost:
            job.deaths += 1
            if job.done.done():
                continue
            if job.deaths == MOST_DEATHS:
                job.done.set_exception(WorkerDied())
            elif job.deaths == MOST_DEATHS - 1:
                self._suspects.append(job)
            else:
                self._waiting.appendleft(job)
        self._dispatch()

    # --- workers ----------------------------------------------------------------------------------------------------

    async def _keep(self, member: _Member) -> None:
        """Keep a worker in its place, and another one after it."""
        failures = 0
        while True:
            try:
                await self._work(member)
            except Exception as error:
                failures = 0 if member.ready else failures + 1
                if self._is_hopeless(error, failures):
                    self._fail(self._explained(error))
                    return
            self._lost(member)
            await asyncio.sleep(failures)

    def _is_hopeless(self, error: Exception, failures: int) -> bool:
        """Whether no other worker will start after one that did not."""
        # What the first worker meets, all will meet; later ones may only have come at a bad moment.
        if isinstance(error, QaEvalError | RuntimeEnvSetupError) and not self._hello.done():
            return True
        # A machine that cannot do the work is said; one that is dying must not end what others do.
        others = any(member.ready for member in self._members)
        return failures >= _MOST_FAILURES and (isinstance(error, QaEvalError) or not others)

    async def _work(self, member: _Member) -> None:
        """Start a worker and take its results until it dies."""
        resources = {name: amount for name, amount in self._stage.resources.items() if amount}
        actor = ray.remote(Worker).options(
            num_cpus=self._stage.num_cpus,
            num_gpus=self._stage.num_gpus,
            resources=resources,
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        member.actor = actor.remote()
        await member.actor.__ray_ready__.remote()
        member.placed = True
        self._placed.set()
        payload = self._payload
        hello = await member.actor.start.remote(
            __version__, payload.folder, payload.environment, payload.setup, payload.content
        )
        _check(hello)
        member.ready = True
        for method, arguments in self._told:
            getattr(member.actor, method).remote(*arguments)
        if not self._hello.done():
            self._hello.set_result(hello)
        results = member.actor.results.options(num_returns="streaming").remote()
        self._dispatch()
        async for batch in results:
            self._received(member, await batch)

    async def _watch(self) -> None:
        """End it all where there has been no worker for too long."""
        without_s = 0.0
        while without_s < self._wait_s:
            await asyncio.sleep(0.5)
            without_s = 0.0 if any(member.placed for member in self._members) else without_s + 0.5
        needed = " and ".join(f"{amount:g} {name}" for name, amount in self._stage.required.items()) or "nothing"
        self._fail(
            ClusterError(
                f"The Ray cluster had no room for a worker of `ray.{self._name}` ({needed}) for {self._wait_s:g} s: "
                f"free or add resources, or lower `ray.{self._name}`."
            )
        )

    def _explained(self, error: Exception) -> QaEvalError:
        if isinstance(error, QaEvalError):
            return error
        if isinstance(error, RuntimeEnvSetupError):
            return ClusterError(f"Ray cannot set up `ray.runtime_env` ({_cause(error)}): correct it.")
        return ClusterError(f"No worker of `ray.{self._name}` starts ({_cause(error)}): see Ray's logs.")

    def _fail(self, problem: QaEvalError) -> None:
        """No job will be done any more."""
        self._failure = self._failure or problem
        jobs = [*self._waiting, *self._suspects, *(job for each in self._members for job in each.in_flight.values())]
        for waiting in (self._hello, *(job.done for job in jobs)):
            if not waiting.done():
                waiting.set_exception(problem)


def _check(hello: Hello) -> None:
    """Refuse a worker that cannot work, or works otherwise."""
    if hello.problem is not None:
        raise hello.problem
    if hello.version != __version__:
        raise ClusterError(
            f"{hello.node} has qa-eval {hello.version} and this is {__version__}: install the same version everywhere."
        )


def _kill(member: _Member) -> None:
    if member.actor is not None and ray.is_initialized():
        ray.kill(member.actor)
    member.actor, member.placed, member.ready, member.alone = None, False, False, False


def _cause(error: Exception) -> str:
    """The line of Ray's text that names the cause: the last of a traceback, else the first."""
    text = error.error_msg if isinstance(error, RayActorError) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if "ray::" in text else lines[0]
