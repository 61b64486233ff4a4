"""The lint: nothing in the platform's own file, and each line that would silently do nothing is found by name."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.blueprint.budgets import LOAD_BALANCER_IDLE
from qa_eval.blueprint.environment import CONSTANTS, PROVIDERS, SECRETS, gateway_environment
from qa_eval.blueprint.gateway import LiteLLMConfig, config_path, read_config
from qa_eval.blueprint.lifecycle import END_OF_LIFE, NOTICE, end_of_life
from qa_eval.blueprint.prices import load_price_map
from qa_eval.gateway_check.lint import GatewayFinding, lint, longest_wait_s

BLUEPRINT: dict[str, Any] = yaml.safe_load(config_path().read_text())
PRICES = load_price_map()
TODAY = date(2026, 11, 22)

names = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)


def findings_after(change: Callable[[dict[str, Any]], object], today: date = TODAY) -> tuple[GatewayFinding, ...]:
    content = copy.deepcopy(BLUEPRINT)
    change(content)
    return lint(content, PRICES, today)


def call(content: dict[str, Any], model: str, place: int = 0) -> None:
    """Make the entry call another model, priced as itself."""
    entry = content["model_list"][place]
    entry["litellm_params"] = {**entry["litellm_params"], "model": f"bedrock/{model}"}
    entry["model_info"] = {**entry["model_info"], "base_model": model}


def test_the_platforms_own_configuration_has_no_finding():
    assert lint(BLUEPRINT, PRICES, TODAY) == ()


@given(place=st.integers(0, 8), foreign=names)
@settings(max_examples=100, deadline=None)
def test_any_other_prefix_is_a_finding_with_the_entrys_name(place: int, foreign: str):
    """Feature: litellm-ecs-demo, Property 1: Bedrock Model Configuration"""
    model = foreign.removeprefix("bedrock/")
    entry = BLUEPRINT["model_list"][place]
    changed = {**entry, "litellm_params": {**entry["litellm_params"], "model": model}}
    entries = [*BLUEPRINT["model_list"][:place], changed, *BLUEPRINT["model_list"][place + 1 :]]

    findings = lint({**BLUEPRINT, "model_list": entries}, PRICES, TODAY)

    assert [finding.rule for finding in findings] == ["shape"]
    assert f"({entry['model_name']})" in findings[0].message
    assert "is not a Bedrock model" in findings[0].message


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        (lambda c: c["guardrails"][2]["litellm_params"].update(guardrail="bedrocks"), "shape", "content-filter-input"),
        (lambda c: c["guardrails"][2]["litellm_params"].update(guardrailidentifier="x"), "shape", "guardrailidentifie"),
        (lambda c: c["general_settings"].update(master_key="sk-1234"), "shape", "is a literal value"),
        (lambda c: c["router_settings"].update(fallback=[]), "shape", "router_settings.fallback"),
        (lambda c: c["model_list"][0]["model_info"].pop("base_model"), "shape", "claude-sonnet"),
        (lambda c: c["model_list"][0]["model_info"].update(base_model="us.nobody.model-v9:0"), "price", "has no price"),
        (
            lambda c: c["model_list"][0]["litellm_params"].update(input_cost_per_token=1e-6),
            "price",
            "one of two prices",
        ),
        (
            lambda c: c["model_list"][0]["model_info"].update(base_model="us.amazon.nova-micro-v1:0"),
            "base-model",
            "has the price of us.amazon.nova-micro",
        ),
        (lambda c: call(c, "amazon.titan-text-express-v1"), "end-of-life", "ended on 2025-08-31"),
        (lambda c: call(c, "us.anthropic.claude-opus-4-1-20250805-v1:0"), "end-of-life", "ends on 2027-01-08"),
        (lambda c: call(c, "apac.amazon.nova-lite-v1:0"), "iam", "apac"),
        (lambda c: c["model_list"][0]["litellm_params"].update(aws_region_name="eu-west-1"), "iam", "eu-west-1"),
        (
            lambda c: c["model_list"][0]["litellm_params"].update(aws_region_name="os.environ/AWS_REGIO"),
            "environment",
            "AWS_REGIO",
        ),
        (lambda c: c["router_settings"]["fallbacks"].append({"qa": ["gpt"]}), "group", "fallbacks names 'gpt'"),
        (lambda c: c["router_settings"]["model_group_alias"].update(old="gone"), "group", "model_group_alias"),
        (lambda c: c["router_settings"]["fallbacks"].pop(), "alias", "titan-text lacks the fallbacks of nova-micro"),
        (lambda c: c["router_settings"]["model_group_alias"].update(any="qa"), "alias", "any lacks the retry policy"),
        (lambda c: c["model_list"].append(c["model_list"][-2]), "group", "the same deployment twice"),
        (lambda c: c["model_list"][-1].update(model_name="qa"), "group", "chat and embedding"),
        (lambda c: c["router_settings"].pop("model_group_retry_policy"), "dead-model", "BadRequestErrorRetries to 3"),
        (lambda c: c["model_list"][4]["model_info"].pop("allowed_fails"), "dead-model", "set allowed_fails"),
        (lambda c: c["router_settings"].update(timeout=60), "budget", "blocks a request for 253 s"),
        (lambda c: c["router_settings"].pop("retry_policy"), "budget", "claude-sonnet"),
        (lambda c: c["guardrails"].pop(2), "guardrail", "masks questions"),
        (lambda c: c["guardrails"].pop(0), "guardrail", "traced unmasked"),
        (
            lambda c: c["guardrails"][0]["litellm_params"]["patterns"][1].update(pattern="(("),
            "shape",
            "personal-data-f",
        ),
        (lambda c: c["guardrails"].pop(3), "guardrail", "masks answers"),
        (
            lambda c: c["guardrails"][2].update(guardrail_name=c["guardrails"][0]["guardrail_name"]),
            "guardrail",
            "the same name",
        ),
        (lambda c: c["litellm_settings"].update(callbacks=[]), "tracing", "Nothing is traced"),
        (lambda c: c["model_list"][-1]["litellm_params"].pop("no-log"), "tracing", "titan-embed"),
        (
            lambda c: c["model_list"][-1]["litellm_params"].pop("additional_drop_params"),
            "embedding",
            "set additional_drop_params: [encoding_format]",
        ),
    ],
)
def test_what_would_silently_do_nothing_is_found(change: Callable[[dict[str, Any]], object], rule: str, words: str):
    findings = findings_after(change)

    assert [each for each in findings if each.rule == rule and words in each.message], findings


def test_every_wrong_entry_is_told_not_only_the_first():
    def change(content: dict[str, Any]) -> None:
        content["model_list"][-1]["litellm_params"]["model"] = "openai/gpt-x"
        content["guardrails"][2]["litellm_params"]["default_on"] = False

    assert len(findings_after(change)) == 2


def test_all_three_models_of_the_first_design_have_ended():
    for model in (
        "anthropic.claude-3-sonnet-20240229-v1:0",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "amazon.titan-text-express-v1",
    ):
        last = end_of_life(model, PRICES)
        assert last is not None
        assert last < TODAY


@pytest.mark.parametrize("model", sorted(END_OF_LIFE))
def test_a_model_is_found_from_its_notice_on_with_and_without_a_profile(model: str):
    last = end_of_life(model, PRICES)
    assert last is not None
    for called in (model, f"us.{model}"):
        before = findings_after(lambda c, called=called: call(c, called), last - NOTICE)
        after = findings_after(lambda c, called=called: call(c, called), last - NOTICE + timedelta(days=1))
        assert not [each for each in before if each.rule == "end-of-life"]
        assert [each for each in after if each.rule == "end-of-life"]


def test_a_price_written_out_needs_no_row_in_the_map():
    def change(content: dict[str, Any]) -> None:
        call(content, "us.amazon.nova-ultra-v9:0")
        content["model_list"][0]["litellm_params"].update(input_cost_per_token=1e-6, output_cost_per_token=2e-6)

    assert findings_after(change) == ()


def test_latency_based_routing_is_one_setting():
    assert findings_after(lambda c: c["router_settings"].update(routing_strategy="latency-based-routing")) == ()


@given(
    timeout=st.floats(0.1, 100),
    general=st.one_of(st.none(), st.integers(0, 9)),
    retries=st.integers(0, 9),
    hops=st.integers(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_the_longest_wait_is_all_tries_and_pauses_of_every_group_on_the_way(
    timeout: float, general: int | None, retries: int, hops: int
):
    router = {**BLUEPRINT["router_settings"], "timeout": timeout, "num_retries": retries, "max_fallbacks": hops}
    router["retry_policy"] = {"TimeoutErrorRetries": general}
    config = LiteLLMConfig.model_validate({**BLUEPRINT, "router_settings": router})

    first = retries if general is None else general
    fallback = [1] if hops else []  # one fallback, `qa`, whose own policy says one retry
    expected = 10 + sum(timeout * (1 + each) + 1.5 * each for each in (first, *fallback))
    assert longest_wait_s(config, "claude-sonnet") == pytest.approx(expected)


def test_every_caller_waits_longer_than_the_gateway_tries():
    config = read_config()
    assert max(longest_wait_s(config, group) for group in config.groups()) < LOAD_BALANCER_IDLE


def test_the_described_environment_provides_every_reference():
    described = gateway_environment(region="r", guardrail_id="i", guardrail_version="1", phoenix_url="http://p")

    assert set(read_config().environment()) <= set(PROVIDERS)
    assert not set(SECRETS) & set(described)
    of_the_place = {name for name in PROVIDERS if not name.startswith("REDIS")}
    assert of_the_place - set(described) == set(SECRETS)
    assert described["PHOENIX_COLLECTOR_HTTP_ENDPOINT"] == "http://p/v1/traces"
    assert CONSTANTS["LITELLM_OTEL_V2"] == "true"
