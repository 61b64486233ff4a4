"""Properties of cost-based routing, asked of LiteLLM's real router for generated price tables and orders."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.stack import environments, servers

Ask = Callable[[list[dict[str, Any]], dict[str, Any], list[int]], int | None]

# Dollars per token; apart by more than the last bits of a sum.
price = st.integers(1, 5000).map(lambda units: units * 1e-8)
table = st.lists(st.tuples(price, price), min_size=1, max_size=6, unique_by=lambda row: round(1e8 * sum(row)))
places = st.sets(st.integers(0, 5))


@pytest.fixture(scope="module")
def router() -> Iterator[Ask]:
    """LiteLLM's router, in its own environment; it is asked one case at a time."""
    environment = servers.environment("litellm")
    environments.ensure(environment, lambda line: None)
    probe = Path(__file__).with_name("router_probe.py")
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    process = subprocess.Popen(
        [str(environment.python), "-P", str(probe)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=variables,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout
    assert stdout.readline() == "ready\n"

    def ask(deployments: list[dict[str, Any]], prices: dict[str, Any], down: list[int]) -> int | None:
        stdin.write(json.dumps({"deployments": deployments, "prices": prices, "down": down}) + "\n")
        stdin.flush()
        answer: int | None = json.loads(stdout.readline())
        return answer

    yield ask
    stdin.close()
    stdout.close()
    process.wait(20)


def deployment(place: int, **info: Any) -> dict[str, Any]:
    model = f"vendor.model-{place}-v1:0"
    params = {"model": f"bedrock/{model}", "aws_region_name": "us-east-1"}
    return {"model_name": "qa", "litellm_params": params, "model_info": {"base_model": model, **info}}


def row(place: int, costs: tuple[float, float]) -> dict[str, Any]:
    """A row of the price map; no two examples share one, as the router's process keeps what it was given."""
    told = {"input_cost_per_token": costs[0], "output_cost_per_token": costs[1]}
    return {f"vendor.model-{place}-v1:0": {**told, "litellm_provider": "bedrock", "mode": "chat"}}


def cheapest(prices: list[tuple[float, float]], down: set[int]) -> int | None:
    up = [place for place in range(len(prices)) if place not in down]
    return min(up, key=lambda place: sum(prices[place]), default=None)


@given(prices=table, down=places)
@settings(max_examples=100, deadline=None)
def test_the_cheapest_healthy_deployment_of_the_price_map_wins_in_any_order(
    router: Ask, prices: list[tuple[float, float]], down: set[int]
):
    """Feature: litellm-ecs-demo, routing: for any prices and any failed ones, the cheapest that is healthy answers.

    The table is generated in any order, so the cheapest stands anywhere in the list.
    """
    down &= set(range(len(prices)))
    deployments = [deployment(place) for place in range(len(prices))]
    rows = {key: value for place, costs in enumerate(prices) for key, value in row(place, costs).items()}

    assert router(deployments, rows, sorted(down)) == cheapest(prices, down)


@given(prices=table)
@settings(max_examples=100, deadline=None)
def test_a_price_that_is_written_out_counts_before_the_price_map(router: Ask, prices: list[tuple[float, float]]):
    """Feature: litellm-ecs-demo, routing: the costs per token of a deployment decide where they are given."""
    deployments = [deployment(place) for place in range(len(prices))]
    for entry, costs in zip(deployments, prices, strict=True):
        entry["litellm_params"] |= {"input_cost_per_token": costs[0], "output_cost_per_token": costs[1]}
    misleading = {
        key: value for place in range(len(prices)) for key, value in row(place, (1e-9 * place + 1e-12, 1e-12)).items()
    }

    assert router(deployments, misleading, []) == cheapest(prices, set())


def test_without_base_model_the_first_in_the_list_wins_whatever_it_costs(router: Ask):
    """Why the lint wants base_model: the price map has no row with the prefix `bedrock/`."""
    deployments = [deployment(0), deployment(1)]
    for entry in deployments:
        del entry["model_info"]["base_model"]

    assert router(deployments, {**row(0, (9e-6, 9e-6)), **row(1, (1e-8, 1e-8))}, []) == 0
