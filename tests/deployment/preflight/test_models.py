"""The models of the gateway's configuration, in an account that may or may not call them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stubbed_account import AVAILABLE, Answer, Refusal, StubbedAccount, profile

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
SONNET = "anthropic.claude-sonnet-4-6"
NOVA = "amazon.nova-micro-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"


def only(model: str, **changes: Any) -> Any:
    """The availability of every model, with changes for one."""

    def answer(asked: dict[str, Any], region: str) -> Answer:
        return {"modelId": asked["modelId"], **AVAILABLE, **(changes if asked["modelId"] == model else {})}

    return answer


def test_every_model_is_asked_for_by_its_foundation_model(account: StubbedAccount, find: Any) -> None:
    assert find("model-access") == []
    assert {SONNET, HAIKU, NOVA, TITAN} <= {asked["modelId"] for _, _, asked in account.asked}
    assert not any(asked["modelId"].startswith("us.") for _, _, asked in account.asked), "a profile is no model"


@pytest.mark.parametrize(
    ("model", "changes", "sentence"),
    [
        (NOVA, {"authorizationStatus": "NOT_AUTHORIZED"}, "The account is not authorized for amazon.nova-micro"),
        (
            HAIKU,
            {"agreementAvailability": {"status": "NOT_AVAILABLE"}},
            f"The account has no agreement for {HAIKU}: send it one prompt in the playground of the Bedrock console",
        ),
        (
            HAIKU,
            {"agreementAvailability": {"status": "ERROR", "errorMessage": "No valid payment instrument."}},
            f"The account has no agreement for {HAIKU} (No valid payment instrument): send it one prompt",
        ),
        (HAIKU, {"entitlementAvailability": "NOT_AVAILABLE"}, f"The account has no agreement for {HAIKU}: send"),
        (
            SONNET,
            {"agreementAvailability": {"status": "PENDING"}},
            f"The agreement for {SONNET} is still pending: wait up to 15 minutes, and run it again.",
        ),
        (TITAN, {"regionAvailability": "NOT_AVAILABLE"}, f"{TITAN} is not available in us-east-1: use another model"),
    ],
)
def test_a_model_that_cannot_be_called(
    account: StubbedAccount, find: Any, model: str, changes: dict[str, Any], sentence: str
) -> None:
    account.answers["bedrock:GetFoundationModelAvailability"] = only(model, **changes)
    ((kind, found),) = find("model-access")
    assert kind == "fails"
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (NOVA, {"agreementAvailability": {"status": "NOT_AVAILABLE"}}),
        (HAIKU, {"regionAvailability": "NOT_AVAILABLE"}),
    ],
)
def test_what_a_model_does_not_need_is_no_finding(
    account: StubbedAccount, find: Any, model: str, changes: dict[str, Any]
) -> None:
    """Amazon's models are not sold, and a profile routes to regions that have the model."""
    account.answers["bedrock:GetFoundationModelAvailability"] = only(model, **changes)
    assert find("model-access") == []


def test_the_form_is_wanted_unless_the_agreements_rest_on_that_of_the_organization(
    account: StubbedAccount, find: Any
) -> None:
    assert find("anthropic-form") == []
    account.answers["bedrock:GetUseCaseForModelAccess"] = Refusal("ResourceNotFoundException")
    assert find("anthropic-form") == [], "every agreement is there"
    missing = {"agreementAvailability": {"status": "NOT_AVAILABLE"}}
    account.answers["bedrock:GetFoundationModelAvailability"] = only(HAIKU, **missing)
    ((kind, sentence),) = find("anthropic-form")
    assert kind == "fails"
    assert sentence.startswith("Anthropic's use case form is not submitted: open a Claude model in the model catalog")


def test_without_a_claude_model_nobody_needs_the_form(account: StubbedAccount, find: Any, tmp_path: Any) -> None:
    from qa_eval.blueprint.gateway import config_path

    text = config_path().read_text()
    for claude in (f"us.{HAIKU}", f"us.{SONNET}"):
        text = text.replace(claude, f"us.{NOVA}")
    (tmp_path / "config.yaml").write_text(text)
    account.answers["bedrock:GetUseCaseForModelAccess"] = Refusal("ResourceNotFoundException")
    account.answers["bedrock:GetFoundationModelAvailability"] = only(NOVA, authorizationStatus="NOT_AUTHORIZED")
    assert find("anthropic-form", f"config={tmp_path / 'config.yaml'}") == []


def test_a_profile_that_the_region_does_not_have(account: StubbedAccount, find: Any) -> None:
    assert find("inference-profiles") == []

    def answer(asked: dict[str, Any], region: str) -> Answer:
        known = asked["inferenceProfileIdentifier"] != f"us.{HAIKU}"
        return profile(asked, region) if known else Refusal("ResourceNotFoundException")

    account.answers["bedrock:GetInferenceProfile"] = answer
    ((kind, sentence),) = find("inference-profiles")
    assert kind == "fails"
    assert sentence.startswith(f"us-east-1 has no inference profile us.{HAIKU}: use another model in the gateway's")


def test_a_profile_that_routes_to_a_region_that_iam_does_not_allow(account: StubbedAccount, find: Any) -> None:
    def answer(asked: dict[str, Any], region: str) -> Answer:
        made: Any = profile(asked, region)
        if asked["inferenceProfileIdentifier"] == f"us.{NOVA}":
            made["models"].append({"modelArn": f"arn:aws:bedrock:ca-central-1::foundation-model/{NOVA}"})
        return made

    account.answers["bedrock:GetInferenceProfile"] = answer
    ((_, sentence),) = find("inference-profiles")
    assert sentence.startswith(f"us.{NOVA} also routes to ca-central-1, where the gateway's role may not call it")


def lived(model: str, **lifecycle: Any) -> Any:
    def answer(asked: dict[str, Any], region: str) -> Answer:
        name = asked["modelIdentifier"]
        state = {"status": "ACTIVE", **(lifecycle if name == model else {})}
        return {"modelDetails": {"modelArn": f"arn:{name}", "modelId": name, "modelLifecycle": state}}

    return answer


def test_a_model_past_its_end(account: StubbedAccount, find: Any) -> None:
    assert find("model-lifecycle") == []
    end = datetime.now(UTC) - timedelta(days=1)
    account.answers["bedrock:GetFoundationModel"] = lived(NOVA, status="LEGACY", endOfLifeTime=end)
    assert find("model-lifecycle") == [("fails", f"{NOVA} ended on {end:%Y-%m-%d}: use its successor.")]


def test_a_legacy_model_refuses_new_accounts_only(account: StubbedAccount, find: Any) -> None:
    end = datetime.now(UTC) + timedelta(days=100)
    account.answers["bedrock:GetFoundationModel"] = lived(NOVA, status="LEGACY", endOfLifeTime=end)
    ((kind, sentence),) = find("model-lifecycle")
    assert kind == "fails"
    assert sentence.startswith(f"{NOVA} is a legacy model, which refuses accounts that do not use it already")
    account.deployed(EC2_VPC="vpc-1")
    assert find("model-lifecycle") == []


def test_a_model_that_the_region_does_not_have(account: StubbedAccount, find: Any) -> None:
    account.answers["bedrock:GetFoundationModel"] = Refusal("ValidationException")
    ((_, sentence),) = find("model-lifecycle")
    assert sentence.startswith(f"us-east-1 has no model {TITAN}: use another one"), "the others have profiles"
