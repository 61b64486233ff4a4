"""A running stack, and the status of its servers: what the functions of `qa_eval.stack` return."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class RunningStack:
    """A stack whose servers are all healthy."""

    gateway_url: str
    """The gateway's base URL at the edge, without `/v1`."""
    phoenix_url: str
    """Phoenix's base URL at the edge, for browsers and clients."""
    gateway_key: str = field(repr=False)
    """The gateway's generated master key; never shown."""
    bedrock_url: str
    phoenix_key: str | None = field(repr=False)
    """The bearer token of Phoenix's administrator; None where Phoenix does not require authentication."""
    started_here: bool
    """Whether the call that returned this started a server."""


@dataclass(frozen=True)
class ServerStatus:
    """The current status of one server."""

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
    """All servers of the stack, in the order in which a request passes them."""

    servers: tuple[ServerStatus, ...]
    key_file: Path
    """The file with the gateway's key; only the user can read it."""
    password_file: Path | None = None
    """The file with the first password of Phoenix's administrator; None without authentication."""
    phoenix_key_file: Path | None = None
    """The file with Phoenix's API key (`PHOENIX_API_KEY`); None without authentication."""

    database_engines: Literal["native", "WebAssembly"] | None = None
    """Prisma's engines between the gateway and its database; None without it."""

    @property
    def healthy(self) -> bool:
        """Whether edge, gateway, local Bedrock and Phoenix are healthy, and no server hangs."""
        states = {server.name: server.state for server in self.servers}
        needed = {states[name] for name in ("edge", "litellm", "bedrock", "phoenix")}
        return needed == {"healthy"} and "not answering" not in states.values()
