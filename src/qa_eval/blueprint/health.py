"""The servers' health endpoints, used by the load balancer, the containers and the local stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qa_eval.blueprint.routes import PORTS, ROUTES, Server

_CHECK: Final = """\
import http.client
connection = http.client.HTTPConnection("127.0.0.1", {port}, timeout={timeout})
connection.request("GET", "{path}")
raise SystemExit(connection.getresponse().status != 200)
"""


@dataclass(frozen=True)
class Health:
    """Two paths that need no key and cost nothing; they are requested from the server itself, not through the edge."""

    liveness: str
    """200 while the process works; otherwise the container is restarted."""
    readiness: str
    """200 while the server is ready, including its database; otherwise it gets no requests."""


HEALTH: Final[dict[Server, Health]] = {
    # Not /health, which needs the key and calls every model.
    "litellm": Health(liveness="/health/liveliness", readiness="/health/readiness"),
    "phoenix": Health(liveness="/healthz", readiness="/readyz"),
}


def readiness_urls(platform: str) -> dict[Server, str]:
    """Where each server says from outside whether it is ready.

    Args:
        platform: The platform's public URL; CDK tokens are allowed.
    """
    return {route.server: f"{platform}{route.strip}{HEALTH[route.server].readiness}" for route in ROUTES}


def container_check(server: Server, *, port: int | None = None, timeout: int = 5) -> tuple[str, ...]:
    """The liveness command of a container: exit code 0 if it is alive, else 1.

    The images have no curl, and the smallest of them has `python3` but no `python`.

    Args:
        server: The server.
        port: Its port inside the container; by default its port on AWS.
        timeout: Seconds in which it must answer.
    """
    script = _CHECK.format(port=port or PORTS[server], timeout=timeout, path=HEALTH[server].liveness)
    return ("python3", "-c", script)
