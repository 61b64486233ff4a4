"""What the stack remembers between commands: ports, processes, options and secrets, in `data_dir()/stack`.

The folder is the user's alone (mode 0700), files appear whole or not at all, and one command changes them at a time.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
from pydantic import BaseModel, Field, ValidationError

from qa_eval.blueprint.secrets import MASTER_KEY, Secret
from qa_eval.errors import StackError
from qa_eval.paths import data_dir


class ProcessRecord(BaseModel, frozen=True):
    """A server that was started; `created` tells it from a later process with the same id."""

    pid: int
    created: float
    """Seconds since the epoch, as `psutil.Process.create_time` gives it."""
    port: int
    fingerprint: str
    version: str


class Options(BaseModel, frozen=True):
    """What runs beside the parts that always do; it stays so until a command says otherwise."""

    auth: bool = False
    """Phoenix asks who you are."""
    postgres: bool = False
    """Phoenix keeps its records in PostgreSQL instead of SQLite."""
    valkey: bool = False
    """The gateway shares its cooldowns and counts through Valkey."""


class State(BaseModel):
    """The content of `state.json`."""

    ports: dict[str, int] = Field(default_factory=dict)
    servers: dict[str, ProcessRecord] = Field(default_factory=dict)
    options: Options = Options()


def folder() -> Path:
    """The stack's folder; it need not exist."""
    return data_dir().absolute() / "stack"


def secret_file(secret: Secret) -> Path:
    """Where a secret is kept; only the user can read it."""
    return folder() / secret.name


def key_file() -> Path:
    """Where the gateway's master key is kept."""
    return secret_file(MASTER_KEY)


def home(server: str) -> Path:
    """A server's working folder; also the mark that its processes carry."""
    return folder() / server


def log_file(server: str) -> Path:
    """Where a server's output goes."""
    return folder() / "logs" / f"{server}.log"


def load() -> State:
    """What is remembered; a missing or damaged file remembers nothing (processes are found by their mark then)."""
    try:
        return State.model_validate_json((folder() / "state.json").read_bytes())
    except (OSError, ValidationError):
        return State()


def save(state: State) -> None:
    """Remember this, in one step."""
    write(folder() / "state.json", state.model_dump_json(indent=2))


def read_secret(secret: Secret) -> str:
    """A secret's value, generated when first asked for."""
    path = secret_file(secret)
    with contextlib.suppress(FileNotFoundError):
        path.chmod(0o600)
        if value := path.read_text(encoding="ascii").strip():
            return value
    value = secret.generate()
    write(path, value)
    return value


def master_key() -> str:
    """The gateway's master key."""
    return read_secret(MASTER_KEY)


@contextlib.contextmanager
def changing(report: Callable[[str], None]) -> Iterator[None]:
    """Hold the stack's folder for one command that changes something; others wait and say so."""
    with held(_private_folder() / "lock", report, "Another qa-eval command is changing the stack; waiting for it ..."):
        yield


@contextlib.contextmanager
def held(path: Path, report: Callable[[str], None], waiting: str) -> Iterator[None]:
    """Hold an inter-process lock; `waiting` is reported if somebody else has it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        report(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_disk_full(error: OSError) -> bool:
    """Whether the disk, or the user's share of it, has no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _private_folder() -> Path:
    path = folder()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def write(path: Path, text: str) -> None:
    """Put a file that only the user can read in place; it is never there half."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> StackError:
    return StackError(f"{path} cannot be written ({error.strerror}); QA_EVAL_DATA_DIR names another folder.")
