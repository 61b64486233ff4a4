"""The port of each server: the requested one, else the last one, else the default, else a free one.

In: the requested and the saved ports, and the ports of our running servers. Out: one port for each server.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping
from typing import Final

from qa_eval.errors import StackError

DEFAULTS: Final[Mapping[str, int | None]] = {
    "edge": 8080,
    "litellm": 4000,
    "phoenix": 6006,
    "phoenix-grpc": None,
    "bedrock": None,
    "model": None,
    "postgres": None,
    "valkey": None,
}
"""Every port of the stack with its default; None for any free port."""

_TITLES: Final = {"edge": "the edge", "litellm": "the gateway", "phoenix": "Phoenix"}
_PARAMETERS: Final = {"edge": "port", "litellm": "gateway_port", "phoenix": "phoenix_port"}


def choose(
    *,
    requested: Mapping[str, int],
    saved: Mapping[str, int],
    held: Mapping[str, int],
    on_progress: Callable[[str], None],
) -> dict[str, int]:
    """Choose a different port for each name in `DEFAULTS`.

    Args:
        requested: Ports that the user named.
        saved: Ports of the last start.
        held: Ports on which our own running servers listen.
        on_progress: Called with one line about each saved or default port that another program uses.

    Raises:
        StackError: A requested port is in use.
    """
    ports: dict[str, int] = {}

    def usable(name: str, port: int) -> bool:
        return port not in ports.values() and (held.get(name) == port or is_free(port))

    for name, port in requested.items():
        if not usable(name, port):
            raise StackError(
                f"Port {port} is in use by another program: give another `{_PARAMETERS[name]}`, or leave it out to use "
                "a free port."
            )
        ports[name] = port
    for name in (name for name in DEFAULTS if name not in requested):
        expected = saved.get(name) or DEFAULTS[name]
        if expected is not None and usable(name, expected):
            ports[name] = expected
    for name in [name for name in DEFAULTS if name not in ports]:
        ports[name] = _free_port(ports.values())
        if expected := saved.get(name) or DEFAULTS[name]:
            on_progress(f"Port {expected} is in use by another program; {_TITLES.get(name, name)} uses {ports[name]}.")
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now.

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
            raise StackError(f"Port {port} may not be used by this user: give one from 1024 to 65535.") from None
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
