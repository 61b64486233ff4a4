"""The routing table means the same to the load balancer's rules, to its rewrite and to `path_at_server`."""

from __future__ import annotations

import pytest
from alb import Rule, decide, matches, rewrite
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.blueprint.routes import PHOENIX_ROOT, ROUTES, path_at_server

RULES = [Rule(route.priority, route.paths, route.server) for route in ROUTES]
BY_SERVER = {route.server: route for route in ROUTES}
PIECES = st.sampled_from(["/phoenix", "/phoeni", "/Phoenix", "/", "x", "v1/traces", "%2F", "?", "[a]", ".", "..", "~"])
PATHS = st.lists(PIECES, max_size=6).map(lambda pieces: "/" + "".join(pieces).lstrip("/"))


@given(PATHS)
@settings(max_examples=300)
def test_phoenix_gets_its_prefix_and_what_is_below_it_and_the_gateway_all_else(path: str) -> None:
    """Feature: litellm-ecs-demo, Property 2: every path has one server, and the prefix is stripped from Phoenix's."""
    server = decide(RULES, path)

    assert server == ("phoenix" if path == PHOENIX_ROOT or path.startswith(f"{PHOENIX_ROOT}/") else "litellm")
    sent = path_at_server(BY_SERVER[server], path)
    assert sent.startswith("/")
    if server == "litellm":
        assert sent == path
    else:
        assert PHOENIX_ROOT + sent in (path, f"{path}/")
        assert rewrite(f"^{PHOENIX_ROOT}/?(.*)$", "/$1", path) == sent


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a*", "/a/b/c", True),
        ("/a*", "/A", False),
        ("/a?c", "/a/c", True),
        ("/a?c", "/ac", False),
        ("/[ab]", "/a", False),
        ("/[ab]", "/[ab]", True),
        ("/a.c", "/abc", False),
        ("/a", "/ab", False),
        ("*", "/anything\nat all", True),
    ],
)
def test_path_patterns_match_as_the_load_balancers_documentation_says(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_the_lowest_priority_decides_whatever_the_order() -> None:
    rules = [Rule(2, ("/a*",), "second"), Rule(1, ("/ab*",), "first")]

    for order in (rules, rules[::-1]):
        assert decide(order, "/abc") == "first"
        assert decide(order, "/ac") == "second"
        assert decide(order, "/b") is None
