"""The routing table: which path goes to which server. The ALB's rules and the local edge are both made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Server = Literal["phoenix", "litellm"]


@dataclass(frozen=True)
class Route:
    """One rule of the routing table."""

    priority: int
    """Rules are tried from the lowest number up; the first that matches decides."""
    paths: tuple[str, ...]
    """Path patterns as an ALB listener rule takes them: case-sensitive, `*` stands for any characters, `?` for one."""
    server: Server
    strip: str = ""
    """The path prefix that the server does not see."""


PORTS: Final[dict[Server, int]] = {"litellm": 4000, "phoenix": 6006}
"""Where each server listens on AWS; the local stack takes free ports."""

PHOENIX_ROOT: Final = "/phoenix"
"""Where the edge shows Phoenix; Phoenix learns it as `PHOENIX_HOST_ROOT_PATH`."""

ROUTES: Final[tuple[Route, ...]] = (
    Route(100, (PHOENIX_ROOT, f"{PHOENIX_ROOT}/*"), "phoenix", strip=PHOENIX_ROOT),
    Route(200, ("/*",), "litellm"),
)


def path_at_server(route: Route, path: str) -> str:
    """The path that the server of a route is asked for: the prefix is stripped, an empty rest is `/`."""
    return path.removeprefix(route.strip) or "/"
