"""How each server says that it is well. The load balancer, the containers and the local stack ask the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qa_eval.blueprint.routes import PORTS, Server

_CHECK: Final = """\
import http.client
connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout={timeout})
connection.request("GET", "{path}")
raise SystemExit(connection.getresponse().status != 200)
"""


@dataclass(frozen=True)
class Health:
    """Two paths that need no key and cost nothing; both are asked at the server itself, never through the edge."""

    liveness: str
    """200 while the process works. A container that fails here is restarted."""
    readiness: str
    """200 while the server can do its work, its database included. A target that fails here gets no requests."""


HEALTH: Final[dict[Server, Health]] = {
    # Not /health: it needs the key and calls every model, at a price.
    "litellm": Health(liveness="/health/liveliness", readiness="/health/readiness"),
    "phoenix": Health(liveness="/healthz", readiness="/readyz"),
}


def container_check(server: Server, *, port: int | None = None, timeout: int = 5) -> tuple[str, ...]:
    """The command that asks a container for its liveness: exit code 0 when it is alive, 1 when not.

    It is Python because the images have no curl, and `python3` because the smallest of them has no `python`.

    Args:
        server: Which server.
        port: Where it listens inside the container; its port on AWS where none is named.
        timeout: Seconds that the answer may take.
    """
    script = _CHECK.format(port=port or PORTS[server], timeout=timeout, path=HEALTH[server].liveness)
    return ("python3", "-c", script)
