"""Routing and retries of the deployed configuration, on real LiteLLM, while Bedrock fails in every way it has."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from fake_bedrock import BROKEN, GONE_400, GONE_404, HANGS, THROTTLED, UNAVAILABLE, Failure, FakeBedrock
from real_gateway import RealGateway, blueprint_config, start_gateway

from qa_eval.blueprint.gateway import LiteLLMConfig
from qa_eval.gateway_check.lint import longest_wait_s

COOLDOWN_S = 1.0
MICRO, LITE = "us.amazon.nova-micro-v1:0", "us.amazon.nova-lite-v1:0"
HAIKU, SONNET = "us.anthropic.claude-haiku-4-5-20251001-v1:0", "us.anthropic.claude-sonnet-4-6"
BY_PRICE = (MICRO, LITE, HAIKU, SONNET)
"""The deployments of `qa`, the cheapest first; the file has them the other way round."""

FAILURES = {"400": GONE_400, "404": GONE_404, "429": THROTTLED, "500": BROKEN, "503": UNAVAILABLE, "hangs": HANGS}


def message_of(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["message"])


def test_the_cheapest_deployment_answers_although_it_is_the_last_in_the_file(gateway: RealGateway, bedrock):
    assert [gateway.ask().status_code for _ in range(5)] == [200] * 5

    assert bedrock.asked == [MICRO] * 5


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_failing_deployment_is_passed_over_and_comes_back(failure: Failure, gateway: RealGateway, bedrock):
    bedrock.failing = {MICRO: failure}
    replies = [gateway.ask(disable_fallbacks=True) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200] * 3
    # A 400 may be the caller's own mistake, so that only many of them pass a deployment over for all.
    again = [MICRO, LITE] if failure is GONE_400 else [LITE]
    assert bedrock.asked == [MICRO, LITE, *again, *again]

    bedrock.failing = {}
    end = time.monotonic() + 10 * COOLDOWN_S
    while bedrock.asked[-1] != MICRO and time.monotonic() < end:
        time.sleep(COOLDOWN_S / 10)
        gateway.ask()

    assert bedrock.asked[-1] == MICRO


def test_three_dead_models_of_four_fail_no_request(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.failing = {MICRO: GONE_400, LITE: GONE_404, HAIKU: GONE_400}

    reply = gateway.ask(disable_fallbacks=True)

    assert reply.status_code == 200
    assert bedrock.asked == [*BY_PRICE]


@pytest.mark.parametrize("name", ["claude-sonnet", "claude-3-sonnet"])
def test_a_dead_model_that_is_asked_for_by_name_is_replaced_and_the_reply_says_so(
    name: str, gateway: RealGateway, bedrock: FakeBedrock
):
    bedrock.failing = {SONNET: GONE_400}

    reply = gateway.ask(model=name)

    assert reply.status_code == 200
    assert bedrock.asked == [SONNET, MICRO]
    assert reply.json()["model"] == MICRO
    assert reply.headers["x-litellm-attempted-fallbacks"] == "1"


def test_who_wants_this_model_or_none_gets_the_providers_own_error(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.failing = {SONNET: GONE_400}

    reply = gateway.ask(model="claude-sonnet", disable_fallbacks=True)

    assert reply.status_code == 400
    assert "The provided model identifier is invalid" in message_of(reply)
    assert bedrock.asked == [SONNET]


def test_a_model_asked_for_by_name_is_not_passed_over_after_a_failure(gateway: RealGateway, bedrock: FakeBedrock):
    """LiteLLM does not cool down the only deployment of a group."""
    bedrock.failing = {SONNET: BROKEN}
    first = gateway.ask(model="claude-sonnet", disable_fallbacks=True, num_retries=0)
    bedrock.failing = {}

    second = gateway.ask(model="claude-sonnet", disable_fallbacks=True)

    assert (first.status_code, second.status_code) == (503, 200)


@pytest.mark.parametrize(
    ("failure", "status", "words", "retried"),
    [(HANGS, 408, "Timeout", 1), (THROTTLED, 429, "Too many requests", 3)],
    ids=["hangs", "throttled"],
)
def test_when_all_of_bedrock_fails_a_named_error_comes_inside_the_budget(
    failure: Failure, status: int, words: str, retried: int, gateway: RealGateway, bedrock: FakeBedrock
):
    config = blueprint_config()
    config["router_settings"]["timeout"] = 1.5
    budget = longest_wait_s(LiteLLMConfig.model_validate(config), "claude-haiku")
    bedrock.failing = dict.fromkeys(BY_PRICE, failure)

    began = time.monotonic()
    reply = gateway.ask(model="claude-haiku")
    taken = time.monotonic() - began

    assert reply.status_code == status
    assert words in message_of(reply)
    assert taken < budget, f"{taken:.1f} s of {budget:.1f} s"
    assert bedrock.asked.count(HAIKU) >= 1 + retried
    assert set(bedrock.asked) > {HAIKU}, "the fallback was asked too"


def test_latency_based_routing_is_one_setting(bedrock: FakeBedrock, tmp_path: Path):
    config = blueprint_config()
    config["router_settings"]["routing_strategy"] = "latency-based-routing"
    bedrock.delays = {MICRO: 0.3, LITE: 0.3, SONNET: 0.3}
    gateway = start_gateway(tmp_path, config, bedrock.url)
    try:
        for _ in range(16):  # until it knows each of them
            assert gateway.ask().status_code == 200
        bedrock.asked = []

        for _ in range(5):
            gateway.ask()
    finally:
        gateway.stop()

    assert bedrock.asked == [HAIKU] * 5
