"""Prices of models into Phoenix: of a gateway's groups by `/model/info`, of direct models by LiteLLM's price map."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qa_eval.errors import PhoenixError
from qa_eval.experiment.metadata import Servers
from qa_eval.phoenix.client import Phoenix
from qa_eval.phoenix.prices import ModelPrice, put_prices
from qa_eval.spec.model import SystemSpec
from qa_eval.targets.gateway import GatewayClient

_REFRESH_S = 6.0
"""Phoenix reads its prices every 5 s, and prices a span when it arrives."""


async def price_models(
    phoenix: Phoenix, client: GatewayClient | None, systems: Sequence[SystemSpec] = (), *, wait: bool = False
) -> str:
    """Make Phoenix price the gateway's groups and the systems' direct models.

    Args:
        phoenix: The server.
        client: The gateway's client; None where nothing asks a gateway.
        systems: What is compared.
        wait: Where a price is new, return when Phoenix has begun to use it.

    Returns:
        A line for the user where it did not work; else nothing. A run does not depend on it.
    """
    prices = {price.model: price for price in _direct(systems)}
    try:
        if client is not None:
            groups = await client.prices()
            prices |= {name: ModelPrice(name, *usd) for name, usd in groups.items()}
        if await put_prices(phoenix, list(prices.values())) and wait:
            await asyncio.sleep(_REFRESH_S)
    except PhoenixError as problem:
        return f"Phoenix has no prices of the models, and shows no cost: {problem}"
    return ""


async def price_gateway(servers: Servers) -> str:
    """The same for a gateway and a Phoenix by their addresses."""
    if servers.phoenix_url is None:
        return ""
    async with (
        GatewayClient(servers.gateway_url, servers.gateway_key) as client,
        Phoenix(servers.phoenix_url, servers.phoenix_key) as phoenix,
    ):
        return await price_models(phoenix, client)


def _direct(systems: Sequence[SystemSpec]) -> list[ModelPrice]:
    """The prices of models that are asked without a gateway, under the names of their spans."""
    models = dict.fromkeys(str(system.model) for system in systems if system.via == "litellm")
    if not models:
        return []
    from qa_eval.litellm_sdk import price, provider_name

    return [ModelPrice(provider_name(model), *usd) for model in models if (usd := price(model)) is not None]
