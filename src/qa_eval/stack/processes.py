"""Server processes: start them, see whether they are well, say why they died, stop them and all they left behind.

In: a `Server`, that is a command, its settings and its health endpoint. Out: a `ProcessRecord` to remember.

A process is known by its id and its start time, so that a recycled id is never taken for ours. Each also carries
the mark `QA_EVAL_STACK_SERVER` in its environment, by which `stop` finds what no record knows: children of a
killed server, servers of a command that was killed before it could write anything down. Three programs write their
title over their environment; they are known by their name and the folder in which they work.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from qa_eval.errors import StackError
from qa_eval.stack.ports import is_free
from qa_eval.stack.state import ProcessRecord, is_disk_full, write

MARK: Final = "QA_EVAL_STACK_SERVER"

_TITLED: Final = ("nginx", "postgres", "valkey-server")

INHERITED: Final = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
"""The only variables of the user's that a server sees: keys, proxies, AWS profiles and settings of LiteLLM or
Phoenix in the user's shell must not change what the stack is."""

START_PATIENCE: Final = 120.0
"""Seconds that a server may take to become healthy."""
STOP_PATIENCE: Final = 10.0
"""Seconds between the polite signal and the other one."""
_TAIL_LINES: Final = 15

# A Popen that is forgotten while its process runs warns when it is collected.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Exchange:
    """How a server that does not speak HTTP, or not at a path of its own, says that it is well."""

    sent: bytes
    reply: bytes
    """A regular expression for the beginning of what a healthy server answers."""


class PortTaken(StackError):
    """Another program listens on a port that was free when it was chosen."""


@dataclass(frozen=True)
class Server:
    """One server as it shall run. Two servers with the same fingerprint need no restart."""

    name: str
    title: str
    """What the user reads."""
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(repr=False)
    """Its environment variables; they may hold secrets."""
    port: int
    health: str | Exchange
    """The path that answers 200 when the server can work, or what else to ask it."""
    home: Path
    """Its working and home folder."""
    log: Path
    version: str
    inputs: tuple[str, ...] = ()
    """Digests of the files that it reads when it starts."""
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Files that are put into its home before it starts, by name; they may hold secrets."""
    first: bool = False
    """Whether others need it when they start."""

    @property
    def mark(self) -> str:
        """What its processes carry in their environment; no two servers of a machine share it."""
        return str(self.home)

    @property
    def fingerprint(self) -> str:
        """Changes with everything that the server only sees when it starts."""
        wanted = [self.command, sorted(self.settings.items()), self.inputs, sorted(self.files.items())]
        return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


def start(server: Server) -> ProcessRecord:
    """Start a server in a session of its own, so that a Ctrl-C in the terminal does not reach it."""
    try:
        server.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        server.log.parent.mkdir(parents=True, exist_ok=True)
        for name, content in server.files.items():
            write(server.home / name, content)
        if server.log.exists():
            server.log.replace(server.log.with_suffix(".previous.log"))
        with server.log.open("wb") as log:
            process = subprocess.Popen(
                server.command,
                env=_environment(server),
                cwd=server.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        room = " (there is no room on the disk)" if is_disk_full(error) else f" ({error.strerror})"
        raise StackError(f"{server.title} cannot be started{room}.") from error
    _started.append(process)
    return ProcessRecord(
        pid=process.pid,
        created=_created(process.pid),
        port=server.port,
        fingerprint=server.fingerprint,
        version=server.version,
    )


def find(record: ProcessRecord) -> psutil.Process | None:
    """The recorded process, unless it has ended (and perhaps its id now belongs to another)."""
    try:
        process = psutil.Process(record.pid)
        # The start time is computed from the clock, which may be set while a server runs: allow for a little.
        is_ours = abs(process.create_time() - record.created) < 2
    except psutil.Error:
        return None
    return process if is_ours and _is_alive(process) else None


def is_healthy(port: int, health: str | Exchange, timeout: float = 2) -> bool:
    """Whether the server on this port of 127.0.0.1 answers as a healthy one, within `timeout` seconds."""
    if isinstance(health, Exchange):
        return _answers(port, health, timeout)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", health)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _answers(port: int, exchange: Exchange, timeout: float) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(exchange.sent)
            return re.match(exchange.reply, connection.recv(256)) is not None
    except OSError:
        return False


def wait_until_healthy(
    servers: Iterable[tuple[Server, ProcessRecord]],
    report: Callable[[str], None],
    patience: float = START_PATIENCE,
) -> None:
    """Return when all are healthy.

    Raises:
        PortTaken: Another program listens on the port of one.
        StackError: One has ended, or is not healthy after `patience` seconds; the end of its log is in the message.
    """
    begun = time.monotonic()
    waiting = list(servers)
    while waiting:
        for server, record in tuple(waiting):
            if is_healthy(server.port, server.health):
                _require_own_port(server, record)
                waiting.remove((server, record))
                report(f"{server.title} is up after {time.monotonic() - begun:.1f} s.")
            elif find(record) is None:
                _require_own_port(server, record)
                raise StackError(f"{server.title} ended{_exit_code(record)} while it started; {_log_end(server)}")
            elif time.monotonic() - begun > patience:
                raise StackError(f"{server.title} did not come up within {patience:.0f} s; {_log_end(server)}")
        if waiting:
            time.sleep(0.05)


def stop(targets: Mapping[str, ProcessRecord | None], patience: float = STOP_PATIENCE) -> list[str]:
    """End servers and all they left behind.

    Args:
        targets: The mark of each server, and its record if there is one. What ends is the recorded process, its
            descendants, and every process that carries the mark.
        patience: Seconds between the polite signal and the one that cannot be ignored.

    Returns:
        The marks of the servers that ran.
    """
    members = _members(targets)
    everyone = {process for found in members.values() for process in found}
    try:
        _signal(everyone, psutil.Process.terminate)
        _signal(_wait_for_end(everyone, patience), psutil.Process.kill)
        _wait_for_end(everyone, patience)
    except BaseException:  # above all a second Ctrl-C: no more patience, but nothing stays behind
        _signal(everyone, psutil.Process.kill)
        raise
    for popen in _started:
        popen.poll()
    _started[:] = [popen for popen in _started if popen.returncode is None]
    return list(members)


def _members(targets: Mapping[str, ProcessRecord | None]) -> dict[str, set[psutil.Process]]:
    """The processes of those servers that have any."""
    members: dict[str, set[psutil.Process]] = {}
    for process in psutil.process_iter():
        mark = _mark(process, targets)
        if mark is not None and process.pid != os.getpid():
            members.setdefault(mark, set()).add(process)
    for mark, record in targets.items():
        if record and (root := find(record)):
            members.setdefault(mark, set()).update([root, *_descendants(root)])
    return members


def _mark(process: psutil.Process, marks: Collection[str]) -> str | None:
    """Which of the marks a process carries, if any."""
    try:
        if process.name() in _TITLED:
            folder = Path(process.cwd())
            return next((mark for mark in marks if folder.is_relative_to(mark)), None)
        mark = process.environ().get(MARK)
    except (psutil.Error, OSError):  # somebody else's, or gone
        return None
    return mark if mark in marks else None


def last_lines(path: Path, count: int, end: int | None = None) -> list[str]:
    """The last lines before byte `end` of a log (its end now), without reading all of it: at most 64 KiB."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) if end is None else end
        start = file.seek(max(0, size - 65536))
        text = file.read(size - start).decode(errors="replace")
    return text.splitlines()[-count:] if count else []


def memory(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants."""
    total = 0
    for member in (process, *_descendants(process)):
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def _environment(server: Server) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "HOME": str(server.home),
        "NO_PROXY": "127.0.0.1,localhost",  # macOS has proxies outside the environment
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        MARK: server.mark,
        **server.settings,
    }


def _require_own_port(server: Server, record: ProcessRecord) -> None:
    """Raise unless the port is the server's, or nobody's: between choosing a port and listening, seconds pass."""
    # LiteLLM does not even fail: it finds port 4000 taken and takes any other, and another's gateway answers us.
    if not is_free(server.port) and not _listens(find(record), server.port):
        raise PortTaken(f"Another program took port {server.port} while {server.title} started.")


def _listens(process: psutil.Process | None, port: int) -> bool:
    try:
        connections = process.net_connections("tcp") if process else []
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # it has ended already; whoever waits for it will say so
        return 0.0


def _wait_for_end(members: Iterable[psutil.Process], patience: float) -> list[psutil.Process]:
    """Wait until all have ended; return those that have not after `patience` seconds."""
    # Not psutil.wait_procs: it waits for the parent to collect them too, which a container's first process never does.
    end = time.monotonic() + patience
    while (alive := [process for process in members if _is_alive(process)]) and time.monotonic() < end:
        time.sleep(0.02)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _signal(processes: Iterable[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.Error:
            continue


def _exit_code(record: ProcessRecord) -> str:
    codes = [popen.poll() for popen in _started if popen.pid == record.pid]
    return f" with exit code {codes[-1]}" if codes and codes[-1] is not None else ""


def _log_end(server: Server) -> str:
    lines = last_lines(server.log, _TAIL_LINES) or ["(nothing)"]
    return f"the end of {server.log}:\n  " + "\n  ".join(lines)
