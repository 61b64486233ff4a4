"""The platform on this machine: real Phoenix, real LiteLLM and a real model, each in a process of its own.

In: the blueprint, a cache folder for the servers' environments, a data folder for their state. Out: a
`RunningStack`, that is the URLs and keys that a client needs.

This module imports quickly; its functions load the implementation when they are called, and need the extra `local`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from qa_eval.errors import StackError
from qa_eval.stack.status import RunningStack, ServerStatus, StackStatus

__all__ = ["RunningStack", "ServerStatus", "StackStatus", "down", "find", "status", "up"]

_T = TypeVar("_T")


def log_to_stderr(line: str) -> None:
    """Write one line of progress to standard error."""
    sys.stderr.write(f"{line}\n")


def up(
    *,
    replay: Path | None = None,
    port: int | None = None,
    gateway_port: int | None = None,
    phoenix_port: int | None = None,
    auth: bool | None = None,
    postgres: bool | None = None,
    database: bool | None = None,
    valkey: bool | None = None,
    on_progress: Callable[[str], None] = log_to_stderr,
) -> RunningStack:
    """Start the stack, and return when every server is healthy; servers that already run unchanged are kept.

    Args:
        replay: A table of answers for the local Bedrock in place of the model's, written by
            `qa_eval.stack.bedrock.replay.write_replay`. A changed table restarts only the local Bedrock.
        port: The edge's port, the one address of the platform; by default the last one, else 8080, else a free one.
        gateway_port: The gateway's own port; by default the last one, else 4000, else a free one.
        phoenix_port: Phoenix's own port; by default the last one, else 6006, else a free one.
        auth: Whether Phoenix requires authentication; by default, here and below, the last setting, and first False.
        postgres: Whether Phoenix stores its data in PostgreSQL instead of SQLite. The two stores are separate.
        database: Whether the gateway has its database, with virtual keys and their spend, in PostgreSQL.
        valkey: Whether the gateway shares its cooldowns and counters through Valkey.
        on_progress: Called with one line for each step; a line that ends in `...` announces what has begun.

    Raises:
        StackError: An environment cannot be built, a port is in use, or a server does not become healthy.
        InputError: The replay file cannot be read.
    """
    _require_extra()
    import qa_eval.stack.local as local

    ports = {"edge": port, "litellm": gateway_port, "phoenix": phoenix_port}
    features = {"auth": auth, "postgres": postgres, "database": database, "valkey": valkey}
    return local.up(local.StackOptions(_given(ports), _given(features), replay), on_progress)


def down(on_progress: Callable[[str], None] = log_to_stderr) -> list[str]:
    """Stop every process of the stack, also those that a killed command left; return the names of the servers."""
    _require_extra()
    import qa_eval.stack.local as local

    return local.down(on_progress)


def status() -> StackStatus:
    """The status of every server; nothing is changed."""
    _require_extra()
    import qa_eval.stack.local as local

    return local.status()


def running_servers() -> list[str]:
    """The names of the servers that have a process, healthy or not; none without the extra `local`."""
    return [] if _missing() else [server.name for server in status().servers if server.pid is not None]


def find() -> RunningStack | None:
    """The stack if it runs and is healthy, else None; nothing is started."""
    if _missing():
        return None
    import qa_eval.stack.local as local

    return local.find()


def _given(values: Mapping[str, _T | None]) -> dict[str, _T]:
    return {name: value for name, value in values.items() if value is not None}


def _require_extra() -> None:
    if _missing():
        raise StackError("The local stack needs the extra `local`: pip install 'qa-eval[local]'.")


def _missing() -> list[str]:
    return [name for name in ("filelock", "psutil", "uv") if find_spec(name) is None]
