"""What the gateway may call on AWS: exactly the models of the configuration, in every region that they answer from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from qa_eval.blueprint.gateway import LiteLLMConfig, config_path, read_config
from qa_eval.blueprint.iam import BedrockResource, bedrock_resources
from qa_eval.errors import InputError

BLUEPRINT: dict[str, Any] = yaml.safe_load(config_path().read_text())
HERE = {"partition": "aws", "region": "us-east-1", "account": "123456789012"}


def resource_of(model: str) -> BedrockResource:
    content = copy.deepcopy(BLUEPRINT)
    content["model_list"] = content["model_list"][:1]
    content["model_list"][0]["litellm_params"]["model"] = f"bedrock/{model}"
    (resource,) = bedrock_resources(LiteLLMConfig.model_validate(content))
    return resource


def test_every_model_of_the_configuration_is_allowed_once():
    called = {entry.litellm_params.model.removeprefix("bedrock/") for entry in read_config().model_list}

    resources = bedrock_resources(read_config())

    assert sorted(resource.profile or resource.model for resource in resources) == sorted(called)


def test_a_profile_needs_itself_and_the_model_in_every_region_of_its_geography():
    arns = resource_of("us.amazon.nova-lite-v1:0").arns(**HERE)

    assert arns == (
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-east-2::foundation-model/amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-west-1::foundation-model/amazon.nova-lite-v1:0",
        "arn:aws:bedrock:us-west-2::foundation-model/amazon.nova-lite-v1:0",
    )


def test_a_model_called_directly_needs_itself_in_the_gateways_region_alone():
    arns = resource_of("amazon.titan-embed-text-v2:0").arns(**HERE)

    assert arns == ("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0",)


def test_a_global_profile_needs_the_model_here_and_the_arn_without_a_region():
    arns = resource_of("global.anthropic.claude-sonnet-4-6").arns(**HERE)

    assert arns == (
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.anthropic.claude-sonnet-4-6",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-6",
        "arn:aws:bedrock:::foundation-model/anthropic.claude-sonnet-4-6",
    )


def test_a_geography_that_is_not_listed_is_refused_and_never_taken_for_a_provider():
    with pytest.raises(InputError, match="apac"):
        resource_of("apac.amazon.nova-lite-v1:0")
