"""Server processes: start them, find them again, and stop them with everything that they started.

In: a `Server`, that is a command, its settings and its health check. Out: a `ProcessRecord` for the stack's state. A
`Program` without a health check is run to its end.

A process is identified by its id and its start time, so that a reused id is never mistaken for a server. Each server
also has the environment variable `QA_EVAL_STACK_SERVER`, its mark, by which `stop` finds processes without a record:
children of a killed server, and servers of a command that was killed before it could save its state. Three programs
overwrite their environment with their title; they are identified by their name and their working folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from qa_eval.errors import StackError
from qa_eval.stack.state import ProcessRecord, is_disk_full, write

MARK: Final = "QA_EVAL_STACK_SERVER"

_TITLED: Final = ("nginx", "postgres", "valkey-server")

INHERITED: Final = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
"""The only environment variables that a server inherits: keys, proxies, AWS profiles and settings of LiteLLM or
Phoenix in the user's shell must not change the stack."""

STOP_TIMEOUT_S: Final = 10.0
"""Time between SIGTERM and SIGKILL."""

# Python warns about a Popen object that is collected while its process runs.
_started: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class TcpProbe:
    """The health check of a server without an HTTP health endpoint: a request, and the beginning of the reply."""

    request: bytes
    reply_pattern: bytes
    """A regular expression that matches at the beginning of a healthy server's reply."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """The description of a program of the stack."""

    name: str
    title: str
    """The name in messages."""
    command: tuple[str, ...]
    settings: Mapping[str, str] = field(repr=False)
    """Environment variables; they may contain secrets."""
    home: Path
    """Working and home folder."""
    log: Path
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Files to write into `home` before the start, by name; they may contain secrets."""
    path: Path | None = None
    """A folder of programs that are found before those of the PATH."""

    @property
    def mark(self) -> str:
        """The value of its processes' environment variable `MARK`; unique on the machine."""
        return str(self.home)


@dataclass(frozen=True)
class Preparation:
    """A program that must succeed before a server starts; it runs once for each version."""

    program: Program
    version: str
    record: Path
    """The file that contains the version of its last success."""

    @property
    def is_done(self) -> bool:
        """Whether it has succeeded at this version."""
        try:
            return self.record.read_text(encoding="utf-8") == self.version
        except OSError:
            return False


@dataclass(frozen=True, kw_only=True)
class Server(Program):
    """The description of a server. Two servers with the same fingerprint need no restart."""

    port: int
    health: str | TcpProbe
    """The path that answers 200 when the server is ready, or a probe."""
    version: str
    inputs: tuple[str, ...] = ()
    """Digests of the files that the server reads at its start."""
    first: bool = False
    """Whether other servers need it at their start."""
    preparation: Preparation | None = None

    @property
    def fingerprint(self) -> str:
        """A digest of everything that a server reads only at its start."""
        content = [self.command, sorted(self.settings.items()), self.inputs, sorted(self.files.items()), str(self.path)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def start(server: Server) -> ProcessRecord:
    """Start a server in a session of its own, which Ctrl-C in the terminal does not reach.

    Raises:
        StackError: The program cannot be executed, or a file cannot be written.
    """
    process = _start(server)
    return ProcessRecord(
        pid=process.pid,
        created=_created(process.pid),
        port=server.port,
        fingerprint=server.fingerprint,
        version=server.version,
    )


def run(program: Program, timeout: float) -> int | None:
    """Run a program to its end, after stopping what a killed command left of it; nothing of it is left running.

    Args:
        program: The program.
        timeout: Seconds after which it is stopped.

    Returns:
        Its exit code; None where it was stopped.

    Raises:
        StackError: It cannot be executed, or a file cannot be written.
    """
    stop({program.mark: None})
    process = _start(program)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        stop({program.mark: None})


def find(record: ProcessRecord) -> psutil.Process | None:
    """The recorded process; None where it has exited, even if another process has its id now."""
    try:
        process = psutil.Process(record.pid)
        # The start time depends on the clock, which may have been adjusted since: allow a small difference.
        same = abs(process.create_time() - record.created) < 2
    except psutil.Error:
        return None
    return process if same and _is_alive(process) else None


def exit_code(record: ProcessRecord) -> int | None:
    """The exit code of a process that this program started; None where it is unknown."""
    codes = [popen.poll() for popen in _started if popen.pid == record.pid]
    return codes[-1] if codes else None


def listens(record: ProcessRecord, port: int) -> bool:
    """Whether the recorded process listens on a TCP port."""
    process = find(record)
    try:
        connections = process.net_connections("tcp") if process else []
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in connections)


def stop(targets: Mapping[str, ProcessRecord | None], timeout: float = STOP_TIMEOUT_S) -> list[str]:
    """Stop servers: the recorded process, its descendants, and every process with the server's mark.

    Args:
        targets: The mark of each server, with its record if there is one.
        timeout: Seconds between SIGTERM and SIGKILL.

    Returns:
        The marks of the servers that were running.
    """
    members = _members(targets)
    everyone = {process for found in members.values() for process in found}
    try:
        _signal(everyone, psutil.Process.terminate)
        _signal(_wait_for_exit(everyone, timeout), psutil.Process.kill)
        _wait_for_exit(everyone, timeout)
    except BaseException:  # above all a second Ctrl-C: kill at once, so that nothing is left
        _signal(everyone, psutil.Process.kill)
        raise
    for popen in _started:
        popen.poll()
    _started[:] = [popen for popen in _started if popen.returncode is None]
    return list(members)


def memory(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants."""
    total = 0
    for member in (process, *_descendants(process)):
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total


def _members(targets: Mapping[str, ProcessRecord | None]) -> dict[str, set[psutil.Process]]:
    """The processes of each server that has any, by its mark."""
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
    """The one of the marks that a process has, if any."""
    try:
        if process.name() in _TITLED:
            folder = Path(process.cwd())
            return next((mark for mark in marks if folder.is_relative_to(mark)), None)
        mark = process.environ().get(MARK)
    except (psutil.Error, OSError):  # another user's process, or one that has exited
        return None
    return mark if mark in marks else None


def _start(program: Program) -> subprocess.Popen[bytes]:
    try:
        program.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        program.log.parent.mkdir(parents=True, exist_ok=True)
        for name, content in program.files.items():
            write(program.home / name, content)
        if program.log.exists():
            program.log.replace(program.log.with_suffix(".previous.log"))
        with program.log.open("wb") as log:
            process = subprocess.Popen(
                program.command,
                env=_environment(program),
                cwd=program.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        reason = "the disk is full" if is_disk_full(error) else error.strerror
        raise StackError(f"{program.title} cannot be started ({reason}).") from error
    _started.append(process)
    return process


def _environment(program: Program) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    if program.path:
        inherited["PATH"] = os.pathsep.join([str(program.path), os.environ.get("PATH", os.defpath)])
    return {
        **inherited,
        "HOME": str(program.home),
        "NO_PROXY": "127.0.0.1,localhost",  # macOS also has proxy settings outside the environment
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        MARK: program.mark,
        **program.settings,
    }


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # it has exited already, which the wait for its health reports
        return 0.0


def _wait_for_exit(members: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until all have exited; return those that have not after `timeout` seconds."""
    # Not psutil.wait_procs: it also waits until the parent reaps them, which a container's first process never does.
    end = time.monotonic() + timeout
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
