"""The platform on this machine: real Phoenix, real LiteLLM and a real model, each a process of its own.

In: the blueprint, a cache folder for the servers' environments, a data folder for their state. Out: a
`RunningStack`, that is the URLs and the key that a client needs.

Everything here is light to import; what does the work is loaded when it is called and needs the extra `local`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from qa_eval.errors import StackError


@dataclass(frozen=True)
class RunningStack:
    """A stack whose servers are all healthy."""

    gateway_url: str
    """The gateway's base URL, without `/v1`."""
    phoenix_url: str
    gateway_key: str = field(repr=False)
    """The gateway's generated master key; it must not be shown."""
    bedrock_url: str
    started_here: bool
    """Whether the call that returned this started any server."""


@dataclass(frozen=True)
class ServerStatus:
    """One server, as it is now."""

    name: str
    state: Literal["healthy", "not answering", "stopped"]
    version: str
    log: Path
    url: str | None = None
    pid: int | None = None
    memory_bytes: int | None = None
    """Resident memory of the server and its children."""
    uptime_seconds: float | None = None


@dataclass(frozen=True)
class StackStatus:
    """All servers of the stack, in the order in which requests pass them."""

    servers: tuple[ServerStatus, ...]
    key_file: Path
    """Where the gateway's key is kept; only the user can read it."""

    @property
    def healthy(self) -> bool:
        """Whether a question can be asked: gateway, local Bedrock and Phoenix are there, and nothing hangs."""
        states = {server.name: server.state for server in self.servers}
        needed = {states[name] for name in ("litellm", "bedrock", "phoenix")}
        return needed == {"healthy"} and "not answering" not in states.values()


def say(line: str) -> None:
    """Report one line of progress on standard error."""
    sys.stderr.write(f"{line}\n")


def up(
    *,
    replay: Path | None = None,
    gateway_port: int | None = None,
    phoenix_port: int | None = None,
    report: Callable[[str], None] = say,
) -> RunningStack:
    """Bring the stack up, and return when every server is healthy; what already runs as wanted is kept.

    Args:
        replay: A table from which the local Bedrock answers instead of the model, as
            `qa_eval.stack.bedrock.replay.write_replay` makes it. With another table, or none, than it has now,
            only the local Bedrock is restarted.
        gateway_port: The gateway's port; without it the last one, else 4000, else a free one.
        phoenix_port: Phoenix's port; without it the last one, else 6006, else a free one.
        report: Gets one line of progress at a time; a line that ends in `...` says what has begun.

    Raises:
        StackError: An environment cannot be built, a port is taken, or a server does not come up.
        InputError: The replay file cannot be read.
    """
    _require_extra()
    import qa_eval.stack.local as local

    return local.up(replay=replay, gateway_port=gateway_port, phoenix_port=phoenix_port, report=report)


def down(report: Callable[[str], None] = say) -> list[str]:
    """Stop every process of the stack, also those that a killed command left behind; return the servers' names."""
    _require_extra()
    import qa_eval.stack.local as local

    return local.down(report)


def status() -> StackStatus:
    """Look at every server, without changing anything."""
    _require_extra()
    import qa_eval.stack.local as local

    return local.status()


def find() -> RunningStack | None:
    """The stack that runs and is healthy, or None; nothing is started."""
    if _missing():
        return None
    import qa_eval.stack.local as local

    return local.find()


def _require_extra() -> None:
    if _missing():
        raise StackError("The local stack needs the extra `local`: pip install 'qa-eval[local]'.")


def _missing() -> list[str]:
    return [name for name in ("filelock", "psutil", "uv") if find_spec(name) is None]
