"""The four verbs on all servers of the stack, and on those of its parts that the user wants.

In: what the user named, and what the stack remembers. Out: running servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qa_eval.blueprint.routes import PHOENIX_ROOT
from qa_eval.blueprint.secrets import PHOENIX_ADMIN_PASSWORD, PHOENIX_ADMIN_SECRET
from qa_eval.errors import InputError
from qa_eval.stack import RunningStack, ServerStatus, StackStatus, environments, ports, processes, state, supervisor
from qa_eval.stack.processes import PortTaken
from qa_eval.stack.servers import (
    ENVIRONMENTS,
    HEALTH,
    SERVERS,
    Plan,
    describe,
    environment,
    url,
    version,
    wanted_servers,
)


@dataclass(frozen=True)
class Wishes:
    """What a command names; the rest stays as it was the last time."""

    ports: Mapping[str, int]
    options: Mapping[str, bool]
    replay: Path | None = None


def up(wishes: Wishes, report: Callable[[str], None]) -> RunningStack:
    """See `qa_eval.stack.up`."""
    with state.changing(report):
        try:
            return _up(wishes, report)
        except PortTaken as taken:
            report(f"{taken} Once more with another ...")
            return _up(wishes, report)


def _up(wishes: Wishes, report: Callable[[str], None]) -> RunningStack:
    plan = _plan(wishes, report)
    servers = describe(plan)
    needed = [environment(server.name) for server in servers if server.name in ENVIRONMENTS]
    for each in needed:
        environments.ensure(each, report)
    started = supervisor.bring_up(servers, report)
    supervisor.take_down([name for name in SERVERS if name not in wanted_servers(plan.options)])
    for each in needed:
        environments.remove_outdated(each)
    return _running(state.load(), started_here=bool(started))


def down(report: Callable[[str], None]) -> list[str]:
    """See `qa_eval.stack.down`."""
    if not state.folder().exists():
        return []
    with state.changing(report):
        # The gateway first: as it ends, it sends its last spans to Phoenix. Databases last.
        return supervisor.take_down(["litellm"], ["edge", "bedrock", "model", "phoenix"], ["valkey", "postgres"])


def status() -> StackStatus:
    """See `qa_eval.stack.status`."""
    remembered = state.load()
    servers = tuple(_status(name, remembered) for name in wanted_servers(remembered.options))
    if not remembered.options.auth:
        return StackStatus(servers, state.key_file())
    login, key = map(state.secret_file, (PHOENIX_ADMIN_PASSWORD, PHOENIX_ADMIN_SECRET))
    return StackStatus(servers, state.key_file(), password_file=login, phoenix_key_file=key)


def find() -> RunningStack | None:
    """See `qa_eval.stack.find`."""
    return _running(state.load(), started_here=False) if status().healthy else None


def _plan(wishes: Wishes, report: Callable[[str], None]) -> Plan:
    """What shall run, ports included; it is remembered."""
    if len(set(wishes.ports.values())) < len(wishes.ports):
        raise InputError("The edge, the gateway and Phoenix cannot share a port: name different ones.")
    remembered = state.load()
    held = {name: record.port for name, record in remembered.servers.items() if processes.find(record)}
    if "phoenix" in held:
        held["phoenix-grpc"] = remembered.ports["phoenix-grpc"]
    remembered.ports = ports.choose(wanted=wishes.ports, remembered=remembered.ports, held=held, report=report)
    remembered.options = remembered.options.model_copy(update=dict(wishes.options))
    state.save(remembered)
    return Plan(remembered.ports, remembered.options, wishes.replay)


def _running(remembered: state.State, *, started_here: bool) -> RunningStack:
    return RunningStack(
        gateway_url=url(remembered.ports["edge"]),
        phoenix_url=_phoenix_url(remembered),
        gateway_key=state.master_key(),
        phoenix_key=state.read_secret(PHOENIX_ADMIN_SECRET) if remembered.options.auth else None,
        bedrock_url=url(remembered.ports["bedrock"]),
        started_here=started_here,
    )


def _phoenix_url(remembered: state.State) -> str:
    """Where a browser finds Phoenix: at its own port, its pages would look for their parts in the wrong place."""
    return f"{url(remembered.ports['edge'])}{PHOENIX_ROOT}"


def _shown_url(name: str, port: int, remembered: state.State) -> str:
    if name == "phoenix" and "edge" in remembered.ports:  # an older qa-eval knew no edge
        return _phoenix_url(remembered)
    schemes = {"postgres": "postgresql", "valkey": "redis"}
    return url(port).replace("http", schemes.get(name, "http"))


def _status(name: str, remembered: state.State) -> ServerStatus:
    record = remembered.servers.get(name)
    process = processes.find(record) if record else None
    if record is None or process is None:
        return ServerStatus(name, "stopped", version(name), state.log_file(name))
    healthy = processes.is_healthy(record.port, HEALTH[name])
    return ServerStatus(
        name=name,
        state="healthy" if healthy else "not answering",
        version=record.version,
        log=state.log_file(name),
        url=_shown_url(name, record.port, remembered),
        pid=record.pid,
        memory_bytes=processes.memory(process),
        uptime_seconds=time.time() - record.created,
    )
