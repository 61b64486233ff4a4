"""`gateway check --live`: what runs is compared with what is declared, and the canaries tell whether it is armed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_bedrock import BROKEN, GONE_400, FakeBedrock
from fake_gateway import KEY as FAKE_KEY
from fake_gateway import Serve
from real_gateway import KEY, RealGateway, blueprint_config, start_gateway

from qa_eval.blueprint.gateway import LiteLLMConfig, read_config
from qa_eval.blueprint.prices import load_price_map
from qa_eval.errors import GatewayError
from qa_eval.gateway_check.live import LiveGateway, cost_of_calls_usd

CONFIG = read_config()
INPUT = CONFIG.guardrails[2].guardrail_name


def prove(gateway: RealGateway, config: LiteLLMConfig = CONFIG) -> list[str]:
    with LiveGateway(gateway.url, KEY) as live:
        return [f"{each.rule}: {each.message}" for each in live.verify(config)]


def call_models(gateway: RealGateway) -> list[str]:
    with LiveGateway(f"{gateway.url}/v1", KEY) as live:
        return [f"{each.rule}: {each.message}" for each in live.call_models(CONFIG)]


@pytest.fixture(scope="module")
def misspelled(bedrock_of_all: FakeBedrock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    """A gateway that LiteLLM starts without its guardrail for questions, and with another model."""
    config = blueprint_config()
    for guardrail in config["guardrails"][2:]:
        guardrail["litellm_params"]["guardrail"] = "bedrocks"
    config["model_list"][-1]["litellm_params"]["model"] = "bedrock/amazon.titan-embed-text-v1"
    gateway = start_gateway(tmp_path_factory.mktemp("misspelled"), config, bedrock_of_all.url)
    yield gateway
    gateway.stop()


def test_the_platforms_own_gateway_is_proven_without_asking_a_model(gateway: RealGateway, bedrock: FakeBedrock):
    assert prove(gateway) == []
    assert bedrock.asked == []


def test_a_misspelled_guardrail_that_litellm_starts_without_is_caught(misspelled: RealGateway, bedrock: FakeBedrock):
    assert misspelled.ask("Please trigger the hate filter.").status_code == 200, "it answers everything"

    findings = prove(misspelled)

    assert f"live-guardrail: {INPUT} is declared but not loaded: see the gateway's log." in findings
    assert any(each.startswith(f"live-canary: {INPUT} fails on a text: HTTP ") for each in findings), findings
    assert any(each.endswith("was answered by claude-sonnet: the guardrail is inactive.") for each in findings)


def test_a_model_that_runs_and_is_not_declared_is_found(misspelled: RealGateway):
    findings = prove(misspelled)

    assert any("titan-embed is declared with bedrock/amazon.titan-embed-text-v2:0" in each for each in findings)
    assert any("titan-embed runs with bedrock/amazon.titan-embed-text-v1" in each for each in findings)


def test_an_answer_without_the_guardrails_is_found_when_models_are_called(misspelled: RealGateway):
    findings = call_models(misspelled)

    assert any(each.startswith("live-call: qa answers without bedrock-content-filter") for each in findings)


def test_a_guardrail_that_is_down_is_a_finding(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.guardrail_failing = {"INPUT": BROKEN}

    findings = prove(gateway)

    assert any(each.startswith(f"live-canary: {INPUT} fails on a text: HTTP 500") for each in findings)
    assert any("A question that must be blocked failed with another error: HTTP 500" in each for each in findings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["guardrails"][2].update(guardrail_name="another"), "another is declared but not loaded"),
        (lambda c: c["guardrails"][2].update(guardrail_name="another"), f"{INPUT} is loaded but not declared"),
        (
            lambda c: c["guardrails"][2]["litellm_params"].update(mode="during_call"),
            "runs with mode: pre_call, not during_call",
        ),
        (lambda c: c["guardrails"][3]["litellm_params"].update(timeout=9), "runs with timeout: 5.0, not 9.0"),
    ],
)
def test_what_is_declared_otherwise_is_found(change: Callable[[dict[str, Any]], object], words: str, gateway):
    declared = blueprint_config()
    change(declared)

    assert any(words in each for each in prove(gateway, LiteLLMConfig.model_validate(declared)))


def test_each_group_answers_once_and_no_group_answers_for_another(gateway: RealGateway, bedrock: FakeBedrock):
    assert call_models(gateway) == []
    assert len(bedrock.asked) == 6

    bedrock.failing = {"us.anthropic.claude-sonnet-4-6": GONE_400}
    findings = call_models(gateway)

    assert len(findings) == 1
    assert findings[0].startswith("live-call: claude-sonnet does not answer: HTTP 400")


def test_what_calling_costs_is_bounded_by_the_load_price_map():
    prices = load_price_map()
    dearest = prices["us.anthropic.claude-sonnet-4-6"]

    cost = cost_of_calls_usd(CONFIG, prices)

    assert 0.003 < cost < 0.01
    assert cost > 60 * dearest["input_cost_per_token"]


def test_a_wrong_key_or_a_server_that_is_no_litellm_is_one_sentence(gateway: RealGateway, serve: Serve):
    with LiveGateway(gateway.url, "sk-wrong") as live, pytest.raises(GatewayError, match="refuses the key"):
        live.verify(CONFIG)
    other = serve(lambda server, prompt: "yes")
    with LiveGateway(other.url, FAKE_KEY) as live, pytest.raises(GatewayError, match="is a LiteLLM gateway"):
        live.verify(CONFIG)


@pytest.mark.usefixtures("in_stack_folder")
def test_the_command_proves_the_local_stack_and_says_what_calling_costs():
    command = [str(Path(sys.executable).with_name("qa-eval")), "gateway", "check", "--live", "--call-models"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert "Calling 6 model groups, for at most $0.00" in done.stderr
    assert "no findings in the configuration and the running gateway" in done.stderr
