"""The platform on this machine: real Phoenix, real LiteLLM and a real model, each a process of its own.

In: the blueprint, a cache folder for the servers' environments, a data folder for their state. Out: a
`RunningStack`, that is the URLs and the key that a client needs.

Everything here is light to import; what does the work is loaded when it is called and needs the extra `local`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeVar

from qa_eval.errors import StackError

T = TypeVar("T")


@dataclass(frozen=True)
class RunningStack:
    """A stack whose servers are all healthy."""

    gateway_url: str
    """The gateway's base URL at the edge, without `/v1`."""
    phoenix_url: str
    """Phoenix's base URL at the edge, for browsers and for clients."""
    gateway_key: str = field(repr=False)
    """The gateway's generated master key; it must not be shown."""
    bedrock_url: str
    phoenix_key: str | None = field(repr=False)
    """The bearer token of Phoenix's administrator; None where Phoenix asks nobody who he is."""
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
    password_file: Path | None = None
    """Where the first password of Phoenix's administrator is kept; None where Phoenix asks for none."""
    phoenix_key_file: Path | None = None
    """Where the key is kept with which programs reach that Phoenix (`PHOENIX_API_KEY`)."""

    @property
    def healthy(self) -> bool:
        """Whether a question can be asked: edge, gateway, local Bedrock and Phoenix are there, and nothing hangs."""
        states = {server.name: server.state for server in self.servers}
        needed = {states[name] for name in ("edge", "litellm", "bedrock", "phoenix")}
        return needed == {"healthy"} and "not answering" not in states.values()


def say(line: str) -> None:
    """Report one line of progress on standard error."""
    sys.stderr.write(f"{line}\n")


def up(
    *,
    replay: Path | None = None,
    port: int | None = None,
    gateway_port: int | None = None,
    phoenix_port: int | None = None,
    auth: bool | None = None,
    postgres: bool | None = None,
    valkey: bool | None = None,
    report: Callable[[str], None] = say,
) -> RunningStack:
    """Bring the stack up, and return when every server is healthy; what already runs as wanted is kept.

    Args:
        replay: A table from which the local Bedrock answers instead of the model, as
            `qa_eval.stack.bedrock.replay.write_replay` makes it. With another table, or none, than it has now,
            only the local Bedrock is restarted.
        port: The port of the edge, the one address of all; without it the last one, else 8080, else a free one.
        gateway_port: The gateway's own port; without it the last one, else 4000, else a free one.
        phoenix_port: Phoenix's own port; without it the last one, else 6006, else a free one.
        auth: Whether Phoenix asks who you are. Without it, here and below, as the last time; at first, no.
        postgres: Whether Phoenix keeps its records in PostgreSQL instead of SQLite. Neither sees the other's.
        valkey: Whether the gateway shares its cooldowns and counts through Valkey.
        report: Gets one line of progress at a time; a line that ends in `...` says what has begun.

    Raises:
        StackError: An environment cannot be built, a port is taken, or a server does not come up.
        InputError: The replay file cannot be read.
    """
    _require_extra()
    import qa_eval.stack.local as local

    wanted = {"edge": port, "litellm": gateway_port, "phoenix": phoenix_port}
    options = {"auth": auth, "postgres": postgres, "valkey": valkey}
    return local.up(local.Wishes(_named(wanted), _named(options), replay), report)


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


def _named(wishes: Mapping[str, T | None]) -> dict[str, T]:
    return {name: wish for name, wish in wishes.items() if wish is not None}


def _require_extra() -> None:
    if _missing():
        raise StackError("The local stack needs the extra `local`: pip install 'qa-eval[local]'.")


def _missing() -> list[str]:
    return [name for name in ("filelock", "psutil", "uv") if find_spec(name) is None]
