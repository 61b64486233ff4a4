"""Model prices in Phoenix, from which it computes what a trace, an experiment and a comparison cost.

Phoenix has no price for a gateway's model groups. Entries of ours are marked by their name; those of other people are
never changed, and where one of theirs already fits a model, it stays the only one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qa_eval.phoenix.client import Phoenix

_MARK = " (set by qa-eval)"
_PER_MILLION = 1_000_000
_LIST = """query { generativeModels(first: 2000) { edges { node {
  id name kind namePattern tokenPrices { tokenType kind costPerMillionTokens } } } } }"""
_CREATE = "mutation ($input: CreateModelMutationInput!) { createModel(input: $input) { model { id } } }"
_UPDATE = "mutation ($input: UpdateModelMutationInput!) { updateModel(input: $input) { model { id } } }"


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What a model costs."""

    model: str
    """The model's name as spans hold it: a gateway's group, or a provider's model."""
    input_usd: float
    """US dollars a token of the prompt."""
    output_usd: float
    """US dollars a token of the completion."""

    @property
    def pattern(self) -> str:
        """The regular expression that fits exactly this model."""
        return f"^{re.escape(self.model)}$".replace("\\-", "-")


async def put_prices(phoenix: Phoenix, prices: Sequence[ModelPrice]) -> int:
    """Make Phoenix price these models; what it has already is left as it is.

    Spans that Phoenix has received before are not priced again.

    Args:
        phoenix: The server.
        prices: At most one of a model.

    Returns:
        The number of entries that were made or changed.

    Raises:
        PhoenixError: Phoenix does not answer, or refuses.
    """
    if not prices:
        return 0
    edges = (await phoenix.query(_LIST))["generativeModels"]["edges"]
    custom = [edge["node"] for edge in edges if edge["node"]["kind"] == "CUSTOM"]
    changes = 0
    for price in prices:
        own = next((entry for entry in custom if entry["name"] == price.model + _MARK), None)
        if own is None:
            if not any(re.search(entry["namePattern"], price.model) for entry in custom):
                await phoenix.query(_CREATE, input=_entry(price))
                changes += 1
        elif not _holds(own, price):
            await phoenix.query(_UPDATE, input={"id": own["id"], **_entry(price)})
            changes += 1
    return changes


def _entry(price: ModelPrice) -> dict[str, Any]:
    return {
        "name": price.model + _MARK,
        "namePattern": price.pattern,
        "costs": [
            {"tokenType": kind, "kind": side, "costPerMillionTokens": usd * _PER_MILLION}
            for kind, side, usd in (("input", "PROMPT", price.input_usd), ("output", "COMPLETION", price.output_usd))
        ],
    }


def _holds(entry: Mapping[str, Any], price: ModelPrice) -> bool:
    """Whether an entry says the same price."""
    held = {each["tokenType"]: each["costPerMillionTokens"] / _PER_MILLION for each in entry["tokenPrices"]}
    wanted = {"input": price.input_usd, "output": price.output_usd}
    return entry["namePattern"] == price.pattern and all(
        math.isclose(held.get(kind, -1.0), usd, rel_tol=1e-9, abs_tol=1e-15) for kind, usd in wanted.items()
    )
