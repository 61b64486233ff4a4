"""Stand-in servers: the process machinery under test is real, only what it starts is small."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from qa_eval.stack import ports, processes, state
from qa_eval.stack.processes import Server

STANDIN = Path(__file__).with_name("standin.py")


@pytest.fixture
def standin() -> Iterator[Callable[..., Server]]:
    """Makes stand-in servers by name, mode and further settings; whatever they leave running is killed."""
    made: list[Server] = []

    def make(name: str = "phoenix", mode: str = "well", port: int = 0, **settings: str) -> Server:
        port = port or next((each.port for each in made if each.name == name), None) or ports._free_port([])
        server = Server(
            name=name,
            title=name.title(),
            command=(sys.executable, "-I", "-S", str(STANDIN), str(port), mode),
            settings=settings,
            port=port,
            health="/health",
            home=state.home(name),
            log=state.log_file(name),
            version="1.0",
        )
        made.append(server)
        return server

    yield make
    for left in running(made):
        left.kill()


def running(servers: list[Server]) -> list[psutil.Process]:
    """Every process that carries the mark of one of the servers."""
    marks = {server.mark for server in servers}
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(processes.MARK) in marks:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
