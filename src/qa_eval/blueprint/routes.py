"""The routing table from paths to servers, for the load balancer's rules and the local edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Server = Literal["phoenix", "litellm"]


@dataclass(frozen=True)
class Route:
    """One rule of the routing table."""

    priority: int
    """Rules are evaluated in ascending order; the first match wins."""
    paths: tuple[str, ...]
    """Path patterns of an ALB listener rule: case-sensitive, `*` matches any characters, `?` one."""
    server: Server
    strip: str = ""
    """The path prefix that is removed before the request reaches the server."""


PORTS: Final[dict[Server, int]] = {"litellm": 4000, "phoenix": 6006}
"""The servers' ports on AWS; the local stack chooses its own."""

PHOENIX_ROOT: Final = "/phoenix"
"""Phoenix's path at the edge, also its `PHOENIX_HOST_ROOT_PATH`."""

ROUTES: Final[tuple[Route, ...]] = (
    Route(100, (PHOENIX_ROOT, f"{PHOENIX_ROOT}/*"), "phoenix", strip=PHOENIX_ROOT),
    Route(200, ("/*",), "litellm"),
)


def path_at_server(route: Route, path: str) -> str:
    """The path that the route's server receives: without the prefix, and `/` if nothing is left."""
    return path.removeprefix(route.strip) or "/"
