"""Fixtures: one real LiteLLM with the platform's own configuration, in front of a Bedrock that fails on demand."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from fake_bedrock import FakeBedrock
from real_gateway import RealGateway, blueprint_config, start_gateway

from qa_eval.stack import RunningStack

COOLDOWN_S = 1.0
TIMEOUT_S = 1.5


@pytest.fixture(scope="session")
def bedrock_of_all() -> Iterator[FakeBedrock]:
    bedrock = FakeBedrock()
    yield bedrock
    bedrock.close()


@pytest.fixture(scope="session")
def gateway_of_all(
    bedrock_of_all: FakeBedrock, stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealGateway]:
    config = blueprint_config()
    # The deployed file, with waits that a test can wait for.
    config["router_settings"] |= {"cooldown_time": COOLDOWN_S, "timeout": TIMEOUT_S}
    gateway = start_gateway(tmp_path_factory.mktemp("gateway"), config, bedrock_of_all.url, stack.phoenix_url)
    yield gateway
    gateway.stop()


@pytest.fixture
def bedrock(bedrock_of_all: FakeBedrock) -> Iterator[FakeBedrock]:
    """The Bedrock behind the gateway: healthy at a test's beginning, and no deployment is passed over any more."""
    bedrock_of_all.heal()
    yield bedrock_of_all
    if bedrock_of_all.failing:
        time.sleep(COOLDOWN_S + 0.2)


@pytest.fixture
def gateway(gateway_of_all: RealGateway, bedrock: FakeBedrock) -> RealGateway:
    """The gateway; its traces go to the stack's Phoenix."""
    return gateway_of_all
