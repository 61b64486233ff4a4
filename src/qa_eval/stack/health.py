"""Health checks of running servers, and the wait for those that start."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

from qa_eval.errors import StackError
from qa_eval.stack import processes
from qa_eval.stack.logs import last_lines
from qa_eval.stack.ports import is_free
from qa_eval.stack.processes import Program, Server, TcpProbe
from qa_eval.stack.state import ProcessRecord

START_TIMEOUT_S: Final = 120.0
"""Time in which a server must become healthy."""
_LOG_LINES: Final = 15
_POLL_S: Final = 0.05


class PortTaken(StackError):
    """Another program listens on a port that was free when it was chosen."""


def is_healthy(port: int, check: str | TcpProbe, timeout: float = 2) -> bool:
    """Whether the server on a port of 127.0.0.1 is healthy.

    Args:
        port: The server's port.
        check: The path of its health endpoint, or a probe.
        timeout: Seconds in which it must answer.
    """
    if isinstance(check, TcpProbe):
        return _matches(port, check, timeout)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", check)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_healthy(
    servers: Iterable[tuple[Server, ProcessRecord]],
    on_progress: Callable[[str], None],
    timeout: float = START_TIMEOUT_S,
) -> None:
    """Wait until all servers are healthy.

    Args:
        servers: Servers that were started, with their records.
        on_progress: Called with one line for each server that is healthy.
        timeout: Seconds after which the wait fails.

    Raises:
        PortTaken: Another program listens on the port of a server.
        StackError: A server exited, or is not healthy in time; the message contains the end of its log.
    """
    began = time.monotonic()
    waiting = list(servers)
    while waiting:
        for server, record in tuple(waiting):
            if is_healthy(server.port, server.health):
                _require_own_port(server, record)
                waiting.remove((server, record))
                on_progress(f"{server.title} is up after {time.monotonic() - began:.1f} s.")
            elif processes.find(record) is None:
                _require_own_port(server, record)
                code = processes.exit_code(record)
                suffix = "" if code is None else f" with exit code {code}"
                raise StackError(f"{server.title} exited{suffix} during its start; {log_end(server)}")
            elif time.monotonic() - began > timeout:
                raise StackError(f"{server.title} is not healthy after {timeout:.0f} s; {log_end(server)}")
        if waiting:
            time.sleep(_POLL_S)


def _matches(port: int, probe: TcpProbe, timeout: float) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(probe.request)
            return re.match(probe.reply_pattern, connection.recv(256)) is not None
    except OSError:
        return False


def _require_own_port(server: Server, record: ProcessRecord) -> None:
    """Refuse a port on which another program listens: seconds pass between the choice of a port and its use."""
    # LiteLLM does not fail on a taken port: it takes another one, and the other program would answer in its place.
    if not is_free(server.port) and not processes.listens(record, server.port):
        raise PortTaken(f"Another program took port {server.port} during the start of {server.title}.")


def log_end(program: Program) -> str:
    """The end of a program's log, for an error message."""
    lines = last_lines(program.log, _LOG_LINES) or ["(empty)"]
    return f"the end of {program.log}:\n  " + "\n  ".join(lines)
