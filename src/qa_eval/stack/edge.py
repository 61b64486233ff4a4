"""The single address of the stack: nginx's configuration, generated from the blueprint's routing table.

A load balancer matches the path as the client sent it. nginx's own `location` would match it decoded, with `..`
resolved and slashes merged, and so route some paths differently; `$request_uri` is the path as sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from qa_eval.blueprint.routes import ROUTES, Route, Server
from qa_eval.stack.processes import TcpProbe

CONFIG_NAME: Final = "nginx.conf"

HEALTH: Final = TcpProbe(b"GET / HTTP/1.0\r\nHost: edge.health\r\n\r\n", rb"HTTP/1\.[01] 200 ")
"""The edge answers this itself, under a host name of its own, because every path is routed to a server."""

_CONFIG: Final = """\
{user}daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    server_tokens off;
    large_client_header_buffers 8 64k;
    client_max_body_size 0;
    client_body_timeout 600s;
    send_timeout 600s;
{upstreams}
    map $request_uri $route {{
        default none;
{routes}
    }}
    map $route $server {{
        default none;
{servers}
    }}
    map "$route $request_uri" $sent {{
        default $request_uri;
{stripped}
    }}
    map $http_upgrade $connection_header {{
        default upgrade;
        "" "";
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name edge.health;
        location / {{ return 200; }}
    }}
    server {{
        listen 127.0.0.1:{port} default_server;
        server_name _;
        location / {{
            if ($route = none) {{ return 404; }}
            proxy_pass http://$server$sent;
            proxy_redirect off;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_connect_timeout 5s;
            proxy_read_timeout 600s;
            proxy_send_timeout 600s;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_header;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""

# uvicorn, which runs both servers, closes connections that are idle for 5 s; nginx must close them first.
_UPSTREAM: Final = "    upstream {name} {{ server 127.0.0.1:{port}; keepalive 64; keepalive_timeout 4s; }}"


def configuration(
    port: int, servers: Mapping[Server, int], *, routes: Iterable[Route] = ROUTES, user: str | None = None
) -> str:
    """nginx's configuration.

    Args:
        port: The edge's port on loopback.
        servers: The port of each server on loopback.
        routes: The routing table.
        user: `USER GROUP` of the workers; only needed for root, because nginx runs root's workers as nobody.
    """
    table = sorted(routes, key=lambda route: route.priority)
    patterns = [(route, pattern) for route in table for pattern in route.paths]
    lines = {
        "upstreams": [_UPSTREAM.format(name=name, port=at) for name, at in servers.items()],
        "routes": [f'        "~^{_regex(pattern)}(\\?|$)" {route.priority};' for route, pattern in patterns],
        "servers": [f"        {route.priority} {route.server};" for route in table],
        "stripped": [line for route in table if route.strip for line in _strip(route)],
    }
    texts = {name: "\n".join(each) for name, each in lines.items()}
    return _CONFIG.format(port=port, user=f"user {user};\n" if user else "", **texts)


def _regex(pattern: str) -> str:
    """A path pattern of a load balancer as a regular expression on the part before the query."""
    wildcards = {"*": "[^?]*", "?": "[^?]"}
    return _quoted("".join(wildcards.get(character) or re.escape(character) for character in pattern))


def _strip(route: Route) -> list[str]:
    """The paths that a server with a stripped prefix receives; like `routes.path_at_server`, with the query."""
    prefix = f"~^{route.priority} {_quoted(re.escape(route.strip))}"
    return [
        f'        "{prefix}(?<query_{route.priority}>\\?.*)?$" "/$query_{route.priority}";',
        f'        "{prefix}(?<rest_{route.priority}>.*)$" "$rest_{route.priority}";',
    ]


def _quoted(text: str) -> str:
    """A text for nginx's double quotes."""
    return text.replace('"', '\\"')
