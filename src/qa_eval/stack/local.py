"""`up`, `down`, `status` and `find` for the whole stack.

In: the options of a command, and the saved state. Out: running servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from qa_eval.blueprint.routes import PHOENIX_ROOT
from qa_eval.blueprint.secrets import PHOENIX_ADMIN_PASSWORD, PHOENIX_ADMIN_SECRET
from qa_eval.errors import InputError
from qa_eval.stack import environments, health, ports, prisma, processes, state, supervisor
from qa_eval.stack.health import PortTaken
from qa_eval.stack.servers import (
    HEALTH,
    MIGRATION,
    SERVERS,
    StackPlan,
    describe,
    enabled_servers,
    environment,
    needed_environments,
    url,
    version,
)
from qa_eval.stack.status import RunningStack, ServerStatus, StackStatus


@dataclass(frozen=True)
class StackOptions:
    """The options of `up`; ports and features that are not named keep their last values."""

    ports: Mapping[str, int]
    features: Mapping[str, bool]
    replay: Path | None = None


def up(options: StackOptions, on_progress: Callable[[str], None]) -> RunningStack:
    """See `qa_eval.stack.up`."""
    with state.stack_lock(on_progress):
        try:
            return _up(options, on_progress)
        except PortTaken as taken:
            on_progress(f"{taken} Trying another port ...")
            return _up(options, on_progress)


def _up(options: StackOptions, on_progress: Callable[[str], None]) -> RunningStack:
    plan = _plan(options, on_progress)
    if plan.features.database:
        prisma.require_node()
    servers = describe(plan)
    needed = needed_environments(plan)
    for each in needed:
        environments.ensure(each, on_progress)
    started = supervisor.bring_up(servers, on_progress)
    supervisor.take_down([name for name in SERVERS if name not in enabled_servers(plan.features)])
    for each in needed:
        environments.remove_outdated(each)
    return _running(state.load(), started_here=bool(started))


def down(on_progress: Callable[[str], None]) -> list[str]:
    """See `qa_eval.stack.down`."""
    if not state.folder().exists():
        return []
    with state.stack_lock(on_progress):
        # The gateway first, because it exports its last spans to Phoenix when it exits. Databases last.
        others = ["edge", "bedrock", "model", "phoenix"]
        return supervisor.take_down(["litellm", MIGRATION], others, ["valkey", "postgres"])


def status() -> StackStatus:
    """See `qa_eval.stack.status`."""
    saved = state.load()
    servers = tuple(_status(name, saved) for name in enabled_servers(saved.features))
    client = environment("prisma")
    engines = prisma.engines(client) if saved.features.database and client.is_complete else None
    found = StackStatus(servers, state.key_file(), database_engines=engines)
    if not saved.features.auth:
        return found
    login, key = map(state.secret_file, (PHOENIX_ADMIN_PASSWORD, PHOENIX_ADMIN_SECRET))
    return replace(found, password_file=login, phoenix_key_file=key)


def find() -> RunningStack | None:
    """See `qa_eval.stack.find`."""
    return _running(state.load(), started_here=False) if status().healthy else None


def _plan(options: StackOptions, on_progress: Callable[[str], None]) -> StackPlan:
    """The plan of what is to run, ports included; it is saved."""
    if len(set(options.ports.values())) < len(options.ports):
        raise InputError("The edge, the gateway and Phoenix cannot share a port: give different ports.")
    killed = [name for name, record in state.load().servers.items() if processes.find(record) is None]
    supervisor.take_down(killed)  # its children may still listen on its port
    saved = state.load()
    held = {name: record.port for name, record in saved.servers.items() if processes.find(record)}
    if "phoenix" in held:
        held["phoenix-grpc"] = saved.ports["phoenix-grpc"]
    saved.ports = ports.choose(requested=options.ports, saved=saved.ports, held=held, on_progress=on_progress)
    saved.features = saved.features.model_copy(update=dict(options.features))
    state.save(saved)
    return StackPlan(saved.ports, saved.features, options.replay)


def _running(saved: state.StackState, *, started_here: bool) -> RunningStack:
    return RunningStack(
        gateway_url=url(saved.ports["edge"]),
        phoenix_url=_phoenix_url(saved),
        gateway_key=state.master_key(),
        phoenix_key=state.read_secret(PHOENIX_ADMIN_SECRET) if saved.features.auth else None,
        bedrock_url=url(saved.ports["bedrock"]),
        started_here=started_here,
    )


def _phoenix_url(saved: state.StackState) -> str:
    """Phoenix's address for browsers: through the edge, because its pages load their assets below the edge's prefix."""
    return f"{url(saved.ports['edge'])}{PHOENIX_ROOT}"


def _shown_url(name: str, port: int, saved: state.StackState) -> str:
    if name == "phoenix" and "edge" in saved.ports:  # the state of an older qa-eval has no edge
        return _phoenix_url(saved)
    schemes = {"postgres": "postgresql", "valkey": "redis"}
    return url(port).replace("http", schemes.get(name, "http"))


def _status(name: str, saved: state.StackState) -> ServerStatus:
    record = saved.servers.get(name)
    process = processes.find(record) if record else None
    if record is None or process is None:
        return ServerStatus(name, "stopped", version(name), state.log_file(name))
    healthy = health.is_healthy(record.port, HEALTH[name])
    return ServerStatus(
        name=name,
        state="healthy" if healthy else "not answering",
        version=record.version,
        log=state.log_file(name),
        url=_shown_url(name, record.port, saved),
        pid=record.pid,
        memory_bytes=processes.memory(process),
        uptime_seconds=time.time() - record.created,
    )
