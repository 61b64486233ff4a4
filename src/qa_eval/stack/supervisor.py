"""Brings servers up and takes them down, whatever state the last command left them in.

In: the servers as they shall be. Out: exactly those running and healthy, remembered in the stack's state. A server
that already runs with the same fingerprint is kept; any other is replaced. If anything goes wrong on the way,
Ctrl-C included, what this call started is stopped again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from qa_eval.stack import processes, state
from qa_eval.stack.processes import Server

_PATIENCE_WITH_RUNNING: Final = 10.0
"""Seconds in which a running server, perhaps busy, must answer before it is replaced."""


def bring_up(servers: Sequence[Server], report: Callable[[str], None]) -> list[str]:
    """Start what is missing, stopped, hung or outdated; return the names of what was started.

    Servers that others need come first; the rest start side by side.

    Raises:
        StackError: A server does not come up.
    """
    remembered = state.load()
    missing = [server for server in servers if not _runs(server, remembered)]
    if not missing:
        return []
    try:
        _stop([server.name for server in missing])
        _start_together([server for server in missing if server.first], report)
        _start_together([server for server in missing if not server.first], report)
    except BaseException:
        _stop([server.name for server in missing])
        raise
    return [server.name for server in missing]


def take_down(*groups: Collection[str]) -> list[str]:
    """Stop servers, one group after the other; return the names of those that ran."""
    return [name for group in groups for name in _stop(group)]


def _start_together(servers: Sequence[Server], report: Callable[[str], None]) -> None:
    if servers:
        report(f"Starting {', '.join(server.title for server in servers)} ...")
        processes.wait_until_healthy([(server, _start(server)) for server in servers], report)


def _runs(server: Server, remembered: state.State) -> bool:
    """Whether the server runs as wanted and answers."""
    record = remembered.servers.get(server.name)
    if record is None or record.fingerprint != server.fingerprint or processes.find(record) is None:
        return False
    return processes.is_healthy(server.port, server.health, timeout=_PATIENCE_WITH_RUNNING)


def _start(server: Server) -> state.ProcessRecord:
    record = processes.start(server)
    remembered = state.load()
    remembered.servers[server.name] = record
    state.save(remembered)
    return record


def _stop(names: Collection[str]) -> list[str]:
    """Stop and forget servers; return the names of those that ran."""
    remembered = state.load()
    names_by_mark = {str(state.home(name)): name for name in names}
    stopped = processes.stop({mark: remembered.servers.get(name) for mark, name in names_by_mark.items()})
    if not remembered.servers.keys().isdisjoint(names):
        remembered.servers = {name: r for name, r in remembered.servers.items() if name not in names}
        state.save(remembered)
    return [name for mark, name in names_by_mark.items() if mark in stopped]
