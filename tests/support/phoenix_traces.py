"""The traces of an experiment, as Phoenix has them."""

from __future__ import annotations

import time
from typing import Any

import httpx

from qa_eval.stack import RunningStack

TRACES = """query ($id: ID!) { node(id: $id) { ... on Experiment { projectName costSummary { total { cost } }
  runs(first: 100) { edges { node { trace { projectId spans(first: 50) { edges { node {
    name spanId parentId spanKind attributes tokenCountTotal costSummary { total { cost } } } } } } } } } } } }"""

EMPTY: Any = {"spans": {"edges": []}}


def experiment_in(stack: RunningStack, experiment_id: str | None) -> Any:
    body = {"query": TRACES, "variables": {"id": experiment_id}}
    return httpx.post(f"{stack.phoenix_url}/graphql", json=body, timeout=60).json()["data"]["node"]


def traces(stack: RunningStack, experiment_id: str | None, spans: int) -> list[list[dict[str, Any]]]:
    """The spans of each of an experiment's questions, once there are as many in all: Phoenix stores them by and by."""
    deadline = time.monotonic() + 30
    while True:
        edges = experiment_in(stack, experiment_id)["runs"]["edges"]
        found = [[span["node"] for span in (edge["node"]["trace"] or EMPTY)["spans"]["edges"]] for edge in edges]
        if sum(map(len, found)) >= spans or time.monotonic() > deadline:
            return found
        time.sleep(0.3)
