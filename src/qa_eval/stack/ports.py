"""Which port each server listens on: what the user asked for, else the last one, else the usual one, else a free one.

In: the remembered ports, the user's wishes, and which ports our own running servers hold. Out: one port a server.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping
from typing import Final

from qa_eval.errors import StackError

USUAL: Final[Mapping[str, int | None]] = {
    "edge": 8080,
    "litellm": 4000,
    "phoenix": 6006,
    "phoenix-grpc": None,
    "bedrock": None,
    "model": None,
    "postgres": None,
    "valkey": None,
}
"""Every port of the stack, and the one it takes if nobody has it; None for any free one."""

_TITLES: Final = {"edge": "the edge", "litellm": "the gateway", "phoenix": "Phoenix"}
_OPTIONS: Final = {"edge": "--port", "litellm": "--gateway-port", "phoenix": "--phoenix-port"}


def choose(
    *,
    wanted: Mapping[str, int],
    remembered: Mapping[str, int],
    held: Mapping[str, int],
    report: Callable[[str], None],
) -> dict[str, int]:
    """One port for each name in `USUAL`, all different.

    Args:
        wanted: Ports that the user named.
        remembered: Ports of the last start.
        held: Ports on which our own running servers listen.
        report: Is told when a port that a name would have had is taken by somebody else.

    Raises:
        StackError: A wanted port is in use.
    """
    ports: dict[str, int] = {}

    def usable(name: str, port: int) -> bool:
        return port not in ports.values() and (held.get(name) == port or is_free(port))

    for name, port in wanted.items():
        if not usable(name, port):
            raise StackError(
                f"Port {port} is in use by another program: "
                f"name another with {_OPTIONS[name]}, or leave it out and a free one is found."
            )
        ports[name] = port
    for name in (name for name in USUAL if name not in wanted):
        expected = remembered.get(name) or USUAL[name]
        if expected is not None and usable(name, expected):
            ports[name] = expected
    for name in [name for name in USUAL if name not in ports]:
        ports[name] = _free_port(ports.values())
        if expected := remembered.get(name) or USUAL[name]:
            report(f"Port {expected} is used by another program; {_TITLES.get(name, name)} takes {ports[name]}.")
    return ports


def is_free(port: int) -> bool:
    """Whether a server of ours could listen on this port of 127.0.0.1 now.

    Raises:
        StackError: This user may not listen on the port.
    """
    with socket.socket() as client:
        client.settimeout(1)
        # On some systems a bind to 127.0.0.1 succeeds while another program listens on every interface.
        if client.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except PermissionError:
            raise StackError(f"Port {port} may not be used by this user; name one from 1024 on.") from None
        except OSError:
            return False
    return True


def _free_port(taken: Collection[int]) -> int:
    while True:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = int(server.getsockname()[1])
        if port not in taken:
            return port
