"""The stack's state between commands: ports, processes, features and secrets, in `data_dir()/stack`.

Only the user can read the folder (mode 0700), files are replaced atomically, and a lock serializes the commands that
change them.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from qa_eval.blueprint.secrets import MASTER_KEY, Secret
from qa_eval.errors import StackError
from qa_eval.paths import data_dir


class ProcessRecord(BaseModel, frozen=True):
    """A server that was started; `created` distinguishes it from a later process with the same id."""

    pid: int
    created: float
    """Seconds since the epoch, as returned by `psutil.Process.create_time`."""
    port: int
    fingerprint: str
    version: str


class StackFeatures(BaseModel, frozen=True):
    """The optional parts of the stack; each keeps its setting until a command changes it."""

    auth: bool = False
    """Phoenix requires authentication."""
    postgres: bool = False
    """Phoenix stores its data in PostgreSQL instead of SQLite."""
    database: bool = False
    """The gateway has its database, with virtual keys and their spend."""
    valkey: bool = False
    """The gateway shares its cooldowns and counters through Valkey."""


class StackState(BaseModel):
    """The content of `state.json`."""

    ports: dict[str, int] = Field(default_factory=dict)
    servers: dict[str, ProcessRecord] = Field(default_factory=dict)
    features: StackFeatures = Field(default=StackFeatures(), validation_alias=AliasChoices("features", "options"))
    """`options` is the name in files of qa-eval 0.1."""


def folder() -> Path:
    """The stack's folder; it may not exist yet."""
    return data_dir().absolute() / "stack"


def secret_file(secret: Secret) -> Path:
    """The file that contains a secret; only the user can read it."""
    return folder() / secret.name


def key_file() -> Path:
    """The file that contains the gateway's master key."""
    return secret_file(MASTER_KEY)


def home(server: str) -> Path:
    """A server's working folder; also the mark of its processes."""
    return folder() / server


def log_file(server: str) -> Path:
    """The file that receives a server's output."""
    return folder() / "logs" / f"{server}.log"


def load() -> StackState:
    """The saved state; an empty one where the file is missing or damaged (processes are then found by their mark)."""
    try:
        return StackState.model_validate_json((folder() / "state.json").read_bytes())
    except (OSError, ValidationError):
        return StackState()


def save(state: StackState) -> None:
    """Save the state atomically."""
    write(folder() / "state.json", state.model_dump_json(indent=2))


def read_secret(secret: Secret) -> str:
    """A secret's value; generated at the first call."""
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
def stack_lock(on_progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the stack's lock during a command that changes it."""
    waiting = "Another qa-eval command is changing the stack; waiting for it ..."
    with file_lock(_private_folder() / "lock", on_progress, waiting):
        yield


@contextlib.contextmanager
def file_lock(path: Path, on_progress: Callable[[str], None], waiting: str) -> Iterator[None]:
    """Hold an inter-process lock.

    Args:
        path: The lock's file.
        on_progress: Called with `waiting` where another process holds the lock.
        waiting: One line about the wait.
    """
    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        on_progress(waiting)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_disk_full(error: OSError) -> bool:
    """Whether the disk is full, or the user's quota exhausted."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write(path: Path, text: str) -> None:
    """Write a file that only the user can read, atomically."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _private_folder() -> Path:
    path = folder()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def _cannot_write(path: Path, error: OSError) -> StackError:
    return StackError(f"{path} cannot be written ({error.strerror}): set QA_EVAL_DATA_DIR to another folder.")
