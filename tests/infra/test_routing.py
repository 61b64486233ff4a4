"""Where a request goes, read from the synthesised listener rules and decided as AWS describes it."""

from __future__ import annotations

import string
from typing import Any

import alb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from templates import Platform

from qa_eval.blueprint.routes import PORTS, ROUTES, Route, path_at_server
from qa_eval.stack import edge

SEGMENTS = st.one_of(
    st.sampled_from(
        ["phoenix", "Phoenix", "phoenixx", "phoeni", "v1", "chat", "%2Fphoenix", "", ".", "..", "[p]hoenix"]
    ),
    st.text(string.ascii_letters + string.digits + "-._~%$&'()*+,;=:@[]?", max_size=12),
)
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda segments: "/" + "/".join(segments))


@pytest.fixture(scope="module")
def listener(platform: Platform) -> list[tuple[alb.Rule, list[dict[str, Any]]]]:
    """The synthesised rules: to which port they forward, and how they rewrite the path."""
    ports = {name: each["Port"] for name, each in platform.all("AWS::ElasticLoadBalancingV2::TargetGroup").items()}
    found = []
    for rule in platform.all("AWS::ElasticLoadBalancingV2::ListenerRule").values():
        (condition,) = rule["Conditions"]
        (action,) = rule["Actions"]
        assert action["Type"] == "forward"
        patterns = tuple(condition["PathPatternConfig"]["Values"])
        target = str(ports[action["TargetGroupArn"]["Ref"]])
        rewrites = [each["UrlRewriteConfig"]["Rewrites"] for each in rule.get("Transforms", [])]
        found.append((alb.Rule(rule["Priority"], patterns, target), [step for steps in rewrites for step in steps]))
    return found


def decide(listener: list[tuple[alb.Rule, list[dict[str, Any]]]], path: str) -> tuple[str | None, str]:
    """The port that a request reaches and the path that the server sees."""
    target = alb.decide([rule for rule, _ in listener], path)
    for rule, rewrites in listener:
        if rule.target == target:
            for each in rewrites:
                path = alb.rewrite(each["Regex"], each["Replace"], path)
    return target, path


@given(path=PATHS)
@settings(max_examples=300, deadline=None)
@example(path="/phoenix")
@example(path="/phoenix/")
@example(path="/phoenix//v1/traces")
@example(path="/phoenixes")
@example(path="/PHOENIX/")
@example(path="/v1/chat/completions")
@example(path="/")
def test_alb_routes_correctly(listener: Any, path: str) -> None:
    """Feature: litellm-ecs-demo, Property 2: ALB Path-Based Routing"""
    target, seen = decide(listener, path)
    if path == "/phoenix" or path.startswith("/phoenix/"):
        assert target == str(PORTS["phoenix"]) == "6006"
        assert seen == (path.removeprefix("/phoenix") or "/")
    else:
        assert target == str(PORTS["litellm"]) == "4000"
        assert seen == path


@given(path=PATHS)
@settings(max_examples=200, deadline=None)
def test_the_rules_decide_as_the_blueprints_routing_table(listener: Any, path: str) -> None:
    """Feature: litellm-ecs-demo, Property 2: ALB Path-Based Routing"""
    (route, *_) = [
        route
        for route in sorted(ROUTES, key=lambda route: route.priority)
        if any(alb.matches(pattern, path) for pattern in route.paths)
    ]
    assert decide(listener, path) == (str(PORTS[route.server]), path_at_server(route, path))


def test_the_rules_are_those_of_the_design(listener: list[tuple[alb.Rule, list[dict[str, Any]]]]) -> None:
    assert [(rule.priority, rule.patterns) for rule, _ in sorted(listener, key=lambda each: each[0].priority)] == [
        (100, ("/phoenix", "/phoenix/*")),
        (200, ("/*",)),
    ]
    rewriting = {rule.priority: rewrites for rule, rewrites in listener}
    assert rewriting == {100: [{"Regex": "^/phoenix/?(.*)$", "Replace": "/$1"}], 200: []}


def test_what_matches_no_rule_is_refused(platform: Platform) -> None:
    (action,) = platform.only("AWS::ElasticLoadBalancingV2::Listener")["DefaultActions"]
    assert action["FixedResponseConfig"]["StatusCode"] == "403"


def test_the_local_edge_made_from_these_rules_is_the_one_that_runs(
    listener: list[tuple[alb.Rule, list[dict[str, Any]]]],
) -> None:
    """Feature: litellm-ecs-demo, Property 2; tests/stack/test_edge.py asks that very nginx for generated paths."""
    servers = {str(port): server for server, port in PORTS.items()}
    routes = [
        Route(
            rule.priority,
            rule.patterns,
            servers[rule.target],
            strip=rewrites[0]["Regex"].removeprefix("^").removesuffix("/?(.*)$") if rewrites else "",
        )
        for rule, rewrites in listener
    ]
    assert edge.configuration(8080, PORTS, routes=routes) == edge.configuration(8080, PORTS)
