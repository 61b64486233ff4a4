"""Model prices in a real Phoenix: made once, updated when they change, nobody else's touched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from qa_eval.phoenix.client import Phoenix
from qa_eval.phoenix.prices import ModelPrice, put_prices
from qa_eval.stack import RunningStack

T = TypeVar("T")
_names = (f"priced-{number}" for number in count())
ENTRIES = """query { generativeModels(first: 2000) { edges { node {
  name namePattern tokenPrices { tokenType costPerMillionTokens } } } } }"""
CREATE = "mutation ($input: CreateModelMutationInput!) { createModel(input: $input) { model { id } } }"


def within(stack: RunningStack, call: Callable[[Phoenix], Awaitable[T]]) -> T:
    async def called() -> T:
        async with Phoenix(stack.phoenix_url, stack.phoenix_key) as phoenix:
            return await call(phoenix)

    return asyncio.run(called())


def put(stack: RunningStack, *prices: ModelPrice) -> int:
    return within(stack, lambda phoenix: put_prices(phoenix, prices))


def entries(stack: RunningStack, model: str) -> list[Any]:
    """The entries of a model: name, and dollars a million tokens."""
    answer = within(stack, lambda phoenix: phoenix.query(ENTRIES))
    nodes = (edge["node"] for edge in answer["generativeModels"]["edges"])
    return [
        (node["name"], {price["tokenType"]: price["costPerMillionTokens"] for price in node["tokenPrices"]})
        for node in nodes
        if model in node["namePattern"]
    ]


def test_prices_are_put_once_and_follow_a_change(stack: RunningStack) -> None:
    model = next(_names)
    price = ModelPrice(model, 1.1e-6, 5.5e-6)
    assert put(stack, price) == 1
    assert put(stack, price) == 0
    assert entries(stack, model) == [(f"{model} (set by qa-eval)", {"input": 1.1, "output": 5.5})]
    assert put(stack, ModelPrice(model, 2e-6, 0.0)) == 1
    assert entries(stack, model) == [(f"{model} (set by qa-eval)", {"input": 2.0, "output": 0.0})]


def test_an_entry_of_somebody_else_is_left_alone(stack: RunningStack) -> None:
    model = next(_names)
    costs = [
        {"tokenType": "input", "kind": "PROMPT", "costPerMillionTokens": 7.0},
        {"tokenType": "output", "kind": "COMPLETION", "costPerMillionTokens": 8.0},
    ]
    theirs = {"name": f"my {model}", "namePattern": f"^{model}", "costs": costs}
    within(stack, lambda phoenix: phoenix.query(CREATE, input=theirs))
    assert put(stack, ModelPrice(model, 1e-6, 2e-6)) == 0
    assert entries(stack, model) == [(f"my {model}", {"input": 7.0, "output": 8.0})]


def test_a_pattern_fits_its_model_alone() -> None:
    import re

    price = ModelPrice("bedrock/us.amazon.nova-lite-v1:0", 1e-6, 1e-6)
    assert re.search(price.pattern, price.model)
    assert not re.search(price.pattern, "bedrock/us-amazon.nova-lite-v1:0")
    assert not re.search(price.pattern, f"x{price.model}")
    assert not re.search(price.pattern, f"{price.model}1")
