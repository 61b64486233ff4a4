"""Start and stop sets of servers, whatever state the last command left them in.

In: the servers that are to run. Out: exactly these running and healthy, and saved in the stack's state. A server that
already runs with the same fingerprint is kept; any other is prepared and restarted. On an error or Ctrl-C, the servers
that this call started are stopped again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from qa_eval.errors import StackError
from qa_eval.stack import health, processes, state
from qa_eval.stack.processes import Server

_RUNNING_TIMEOUT_S: Final = 10.0
"""Time in which a running server, which may be busy, must answer; otherwise it is restarted."""
_PREPARATION_TIMEOUT_S: Final = 600.0


def bring_up(servers: Sequence[Server], on_progress: Callable[[str], None]) -> list[str]:
    """Start the servers that are stopped, unresponsive or outdated; return their names.

    Servers with `first` start before the others are prepared; otherwise they start in parallel.

    Raises:
        StackError: A server cannot be prepared, or does not become healthy.
    """
    saved = state.load()
    missing = [server for server in servers if not _runs(server, saved)]
    if not missing:
        return []
    try:
        _stop([server.name for server in missing])
        _start_together([server for server in missing if server.first], on_progress)
        for server in missing:
            _prepare(server, on_progress)
        _start_together([server for server in missing if not server.first], on_progress)
    except BaseException:
        _stop([server.name for server in missing])
        raise
    return [server.name for server in missing]


def take_down(*groups: Collection[str]) -> list[str]:
    """Stop servers, one group after the other; return the names of those that were running."""
    return [name for group in groups for name in _stop(group)]


def _start_together(servers: Sequence[Server], on_progress: Callable[[str], None]) -> None:
    if servers:
        on_progress(f"Starting {', '.join(server.title for server in servers)} ...")
        health.wait_until_healthy([(server, _start(server)) for server in servers], on_progress)


def _prepare(server: Server, on_progress: Callable[[str], None]) -> None:
    preparation = server.preparation
    if preparation is None or preparation.is_done:
        return
    program = preparation.program
    on_progress(f"Running the {program.title} ...")
    began = time.monotonic()
    code = processes.run(program, _PREPARATION_TIMEOUT_S)
    if code != 0:
        ended = f"did not end in {_PREPARATION_TIMEOUT_S:.0f} s" if code is None else f"failed with exit code {code}"
        raise StackError(f"The {program.title} {ended}; {health.log_end(program)}")
    preparation.record.write_text(preparation.version, encoding="utf-8")
    on_progress(f"The {program.title} took {time.monotonic() - began:.0f} s.")


def _runs(server: Server, saved: state.StackState) -> bool:
    """Whether the server runs with the same fingerprint and is healthy."""
    record = saved.servers.get(server.name)
    if record is None or record.fingerprint != server.fingerprint or processes.find(record) is None:
        return False
    return health.is_healthy(server.port, server.health, timeout=_RUNNING_TIMEOUT_S)


def _start(server: Server) -> state.ProcessRecord:
    record = processes.start(server)
    saved = state.load()
    saved.servers[server.name] = record
    state.save(saved)
    return record


def _stop(names: Collection[str]) -> list[str]:
    """Stop servers and remove them from the state; return the names of those that were running."""
    saved = state.load()
    names_by_mark = {str(state.home(name)): name for name in names}
    stopped = processes.stop({mark: saved.servers.get(name) for mark, name in names_by_mark.items()})
    if not saved.servers.keys().isdisjoint(names):
        saved.servers = {name: record for name, record in saved.servers.items() if name not in names}
        state.save(saved)
    return [name for mark, name in names_by_mark.items() if mark in stopped]
