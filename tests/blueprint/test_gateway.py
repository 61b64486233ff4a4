"""The gateway's configuration: what the blueprint declares, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qa_eval.blueprint.gateway import LiteLLMConfig, ModelParams, config_path, read_config
from qa_eval.errors import InputError

BLUEPRINT: dict[str, Any] = yaml.safe_load(config_path().read_text())

names = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=40)
bedrock_models = names.map(lambda name: f"bedrock/{name}")


def deployment(name: str, model: str) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {"model": model, "aws_region_name": "us-east-1"},
        "model_info": {"base_model": model.removeprefix("bedrock/")},
    }


configs = st.lists(st.builds(deployment, names, bedrock_models), min_size=1, max_size=8).map(
    lambda models: LiteLLMConfig.model_validate({**BLUEPRINT, "model_list": models})
)


@given(config=configs)
@settings(max_examples=100)
def test_all_models_use_bedrock(config: LiteLLMConfig) -> None:
    """Feature: litellm-ecs-demo, Property 1: Bedrock Model Configuration"""
    assert all(entry.litellm_params.model.startswith("bedrock/") for entry in config.model_list)


@given(models=st.lists(bedrock_models, max_size=5), foreign=names, place=st.integers(0, 5))
@settings(max_examples=100)
def test_any_other_prefix_is_refused(models: list[str], foreign: str, place: int) -> None:
    """Feature: litellm-ecs-demo, Property 1: Bedrock Model Configuration"""
    foreign = foreign.removeprefix("bedrock/")
    entries = [deployment("group", model) for model in models]
    entries.insert(place, deployment("the-foreign-one", foreign))
    with pytest.raises(ValidationError, match="is not a Bedrock model"):
        LiteLLMConfig.model_validate({**BLUEPRINT, "model_list": entries})


def test_the_bare_prefix_names_no_model() -> None:
    with pytest.raises(ValidationError):
        ModelParams(model="bedrock/", aws_region_name="us-east-1")


def test_the_blueprint_declares_what_the_design_names() -> None:
    config = read_config()
    groups = {entry.model_name for entry in config.model_list}
    assert groups == {"claude-sonnet", "claude-haiku", "nova-lite", "nova-micro", "qa", "titan-embed"}
    assert len([entry for entry in config.model_list if entry.model_name == "qa"]) == 4
    assert config.router_settings.routing_strategy == "cost-based-routing"
    assert (config.router_settings.num_retries, config.router_settings.timeout) == (3, 24)
    assert config.router_settings.fallbacks_of("claude-sonnet") == ["qa"]
    assert config.router_settings.model_group_alias.keys() == {"claude-3-sonnet", "claude-3-haiku", "titan-text"}
    assert set(config.router_settings.model_group_alias.values()) <= groups
    assert config.litellm_settings.callbacks == ["arize_phoenix"]
    assert {guardrail.litellm_params.mode for guardrail in config.guardrails} == {"pre_call", "post_call"}


def test_every_base_model_is_the_called_model() -> None:
    for entry in read_config().model_list:
        assert entry.litellm_params.model == f"bedrock/{entry.model_info.base_model}"


def test_the_environment_is_listed() -> None:
    assert read_config().environment() == (
        "AWS_REGION",
        "BEDROCK_GUARDRAIL_ID",
        "BEDROCK_GUARDRAIL_VERSION",
        "LITELLM_MASTER_KEY",
        "REDIS_HOST",
        "REDIS_PASSWORD",
        "REDIS_PORT",
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c["guardrails"][2]["litellm_params"].update(guardrail="bedrocks"), "bedrock-content-filter-input"),
        (lambda c: c["guardrails"][3]["litellm_params"].update(guardrailidentifier="x"), "guardrailidentifier"),
        (lambda c: c["guardrails"][2]["litellm_params"].update(default_on=False), "default_on"),
        (lambda c: c["guardrails"][1]["litellm_params"].update(custom_code="def:"), "is not Python"),
        (lambda c: c["general_settings"].update(master_key="sk-secret"), "is a literal value"),
        (lambda c: c["model_list"][2]["litellm_params"].update(model="openai/gpt-x"), "nova-lite"),
        (lambda c: c["model_list"][0]["model_info"].pop("base_model"), "claude-sonnet"),
        (lambda c: c["router_settings"].update(routing_strategy="cheapest"), "routing_strategy"),
        (lambda c: c.update(guardrail=[]), "guardrail"),
    ],
)
def test_what_would_silently_do_nothing_is_an_error(change: Any, sentence: str, tmp_path: Path) -> None:
    content = copy.deepcopy(BLUEPRINT)
    change(content)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=sentence):
        read_config(path)


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "missing.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(InputError, match="is not YAML"):
        read_config(broken)
