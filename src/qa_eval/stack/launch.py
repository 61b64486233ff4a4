"""Starts one Python server inside its own environment: `python -P launch.py COMMAND ARGUMENTS...`.

The server environment's own interpreter runs it, so it imports only the standard library and the server. COMMAND is
one of the environment's console scripts. It does two things for which the servers have no setting: it binds Phoenix's
gRPC collector to loopback, and reduces the garbage collector's work during the start.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


def main() -> None:
    """Run the server that the command line names."""
    # Importing a server creates a million long-lived objects. At the default threshold, scanning them repeatedly is a
    # fifth of the start's CPU time.
    gc.set_threshold(50_000, 10, 10)
    command, *arguments = sys.argv[1:]
    if command == "phoenix":
        keep_grpc_on_loopback()
    (script,) = entry_points(group="console_scripts", name=command)
    sys.argv = [command, *arguments]
    sys.exit(script.load()())


def keep_grpc_on_loopback() -> None:
    """Bind gRPC servers to 127.0.0.1; Phoenix binds its collector to every interface and ignores PHOENIX_HOST."""
    aio: Any = import_module("grpc.aio")
    make_server = aio.server

    def make_loopback_server(*arguments: Any, **options: Any) -> Any:
        server = make_server(*arguments, **options)
        bind = server.add_insecure_port
        server.add_insecure_port = lambda address: bind(address.replace("[::]", "127.0.0.1"))
        return server

    aio.server = make_loopback_server


if __name__ == "__main__":
    main()
