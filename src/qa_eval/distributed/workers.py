"""The workers of a run, by stage: opened before anything is asked, closed at its end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from ray import cloudpickle

from qa_eval.distributed.cluster import joined, machines, room
from qa_eval.distributed.pool import Payload, Pool
from qa_eval.distributed.remote import RemoteClient, RemoteEmbedder, RemoteMetric, RemoteTarget
from qa_eval.distributed.worker import CONTENT, Setup
from qa_eval.errors import InputError
from qa_eval.metrics.base import Metric
from qa_eval.spec.ray import RaySpec, RayStage
from qa_eval.targets.base import Target

TASKS, METRICS, EMBED = "tasks", "metrics", "embed"
_ORDER = (EMBED, METRICS, TASKS)
"""Own tasks take what is left of the cluster."""


@dataclass(frozen=True)
class Workers:
    """The workers of a run; a stage that it does not need is missing."""

    pools: Mapping[str, Pool]
    embedder: RemoteEmbedder | None

    @property
    def client(self) -> RemoteClient | None:
        """The gateway's client, for judges."""
        return RemoteClient(self.pools[TASKS]) if TASKS in self.pools else None

    def targets(self, systems: Sequence[str]) -> dict[str, Target]:
        """The target of each system, by the system's name; none where nothing is left to be asked."""
        systems = systems if TASKS in self.pools else ()
        return {system: RemoteTarget(self.pools[TASKS], system) for system in systems}

    def send_to(self, projects: Mapping[str, str]) -> None:
        """The Phoenix project of each system's experiment: from now on workers send spans."""
        for pool in self.pools.values():
            pool.tell("send_spans_to", projects)

    def metrics(self, names: Sequence[str]) -> dict[str, Metric]:
        """Own metrics by name."""
        return {name: RemoteMetric(self.pools[METRICS], name) for name in names}


@asynccontextmanager
async def open_workers(spec: RaySpec, folder: str, setups: Mapping[str, Setup]) -> AsyncIterator[Workers]:
    """Workers for some stages.

    Args:
        spec: The cluster, and what each stage's workers reserve.
        folder: Where the modules of own functions are.
        setups: What the workers need, by stage.

    Raises:
        QaEvalError: The cluster cannot be used, or a stage gets no worker; the message says why.
    """
    environment = _environment(spec.environment)
    payloads = {stage: Payload(folder, environment, *_pickled(setups[stage])) for stage in _ORDER if stage in setups}
    stages: dict[str, RayStage] = {stage: getattr(spec, stage) for stage in payloads}
    cpus = sum((stage.workers or 1) * stage.num_cpus for stage in stages.values())
    async with AsyncExitStack() as opened:
        opened.enter_context(joined(spec, int(cpus) + (cpus % 1 > 0)))
        pools: dict[str, Pool] = {}
        for name, payload in payloads.items():
            stage = stages[name]
            workers = stage.workers or _workers(name, stages, setups[name])
            pool = pools[name] = Pool(name, stage, workers, payload, spec.wait)
            opened.push_async_callback(pool.close)
            await pool.open()
        hellos = {name: await pool.hello() for name, pool in pools.items()}
        embedder = None
        if EMBED in pools:
            embedder = RemoteEmbedder(pools[EMBED], hellos[EMBED].embedder, hellos[EMBED].dimensions)
        yield Workers(pools, embedder)


def _workers(name: str, stages: Mapping[str, RayStage], setup: Setup) -> int:
    """The default number of a stage's workers: one; an event loop on each machine for calls; for own tasks the rest."""
    if name != TASKS:
        return 1
    if not setup.tasks:
        return max(1, machines(stages[TASKS]))
    others = sum((stage.workers or 1) for other, stage in stages.items() if other != TASKS and stage.num_cpus)
    return max(1, room(stages[TASKS]) - others)


def _environment(names: Sequence[str]) -> dict[str, str]:
    missing = next((name for name in names if name not in os.environ), None)
    if missing is not None:
        raise InputError(f"`ray.environment` names {missing}, which is not set: set it, or leave it out.")
    return {name: os.environ[name] for name in names}


def _pickled(setup: Setup) -> tuple[bytes, bytes]:
    """A setup without its content, and its content."""
    try:
        content = cloudpickle.dumps({part: getattr(setup, part) for part in CONTENT})
        return cloudpickle.dumps(replace(setup, **CONTENT)), content
    except Exception as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"An own function cannot be sent to workers ({problem}): name it as module:function in a specification."
        ) from None
