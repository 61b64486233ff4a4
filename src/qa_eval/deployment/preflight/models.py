"""Whether the account can call the models of the gateway's configuration.

Sources: "Access Amazon Bedrock foundation models" in the Amazon Bedrock user guide (the form, agreements and
Marketplace permissions), and "Model lifecycle" there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from qa_eval.blueprint.iam import BedrockResource, bedrock_resources
from qa_eval.deployment.preflight.account import Account
from qa_eval.deployment.preflight.findings import PreflightFinding

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

_ANTHROPIC: Final = "anthropic."
_WITHOUT_AGREEMENT: Final = ("amazon.", "deepseek.", "meta.", "mistral.", "openai.", "qwen.")
"""Providers whose models are not sold in AWS Marketplace."""
_UNKNOWN: Final = ("ResourceNotFoundException", "ValidationException")
"""What Bedrock answers to a model or a profile that the region does not have."""


def access(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """The account is authorized for each model, and has accepted the agreement of those that are sold."""
    for resource in bedrock_resources(settings.gateway_config):
        answer = _availability(account, resource.model)
        if answer:
            yield from _missing_access(resource, answer, settings.region)


def form(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """Anthropic's form is submitted; an organization's form is only seen by the agreements that rest on it."""
    models = [each.model for each in bedrock_resources(settings.gateway_config) if each.model.startswith(_ANTHROPIC)]
    if not models or account.ask("bedrock", "get_use_case_for_model_access", missing=_UNKNOWN):
        return
    agreements = [_availability(account, model).get("agreementAvailability", {}).get("status") for model in models]
    if any(agreement != "AVAILABLE" for agreement in agreements):
        yield PreflightFinding(
            "Anthropic's use case form is not submitted: open a Claude model in the model catalog of the Bedrock "
            "console, and fill it in."
        )


def profiles(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """The inference profiles exist, and route only to regions in which the gateway's role may call the model."""
    for resource in bedrock_resources(settings.gateway_config):
        if resource.profile is None:
            continue
        answer = account.ask(
            "bedrock", "get_inference_profile", missing=_UNKNOWN, inferenceProfileIdentifier=resource.profile
        )
        if not answer:
            yield PreflightFinding(
                f"{settings.region} has no inference profile {resource.profile}: use another model in the gateway's "
                "configuration."
            )
            continue
        routed = {each["modelArn"].split(":")[3] for each in answer["models"]}
        if "" not in resource.regions and (foreign := sorted(routed - {*resource.regions})):
            yield PreflightFinding(
                f"{resource.profile} also routes to {', '.join(foreign)}, where the gateway's role may not call it: "
                "use another model, or a newer qa-eval."
            )


def lifecycle(settings: QaEvalSettings, account: Account) -> Iterator[PreflightFinding]:
    """The models have not ended; a legacy model refuses accounts that do not use it already."""
    for resource in bedrock_resources(settings.gateway_config):
        answer = account.ask("bedrock", "get_foundation_model", missing=_UNKNOWN, modelIdentifier=resource.model)
        if not answer and resource.profile is None:
            yield PreflightFinding(
                f"{settings.region} has no model {resource.model}: use another one in the gateway's configuration."
            )
        state = answer.get("modelDetails", {}).get("modelLifecycle", {})
        end = state.get("endOfLifeTime")
        if end is not None and end <= datetime.now(UTC):
            yield PreflightFinding(f"{resource.model} ended on {end:%Y-%m-%d}: use its successor.")
        elif state.get("status") == "LEGACY" and not account.own:
            yield PreflightFinding(
                f"{resource.model} is a legacy model, which refuses accounts that do not use it already: use its "
                "successor."
            )


def _availability(account: Account, model: str) -> dict[str, Any]:
    return account.ask("bedrock", "get_foundation_model_availability", missing=_UNKNOWN, modelId=model)


def _missing_access(resource: BedrockResource, answer: dict[str, Any], region: str) -> Iterator[PreflightFinding]:
    model, agreement = resource.model, answer["agreementAvailability"]
    if answer["authorizationStatus"] != "AUTHORIZED":
        yield PreflightFinding(
            f"The account is not authorized for {model}: check the organization's policies, and ask AWS Support if "
            "the account is new."
        )
    # A profile routes to regions that have the model.
    if answer["regionAvailability"] != "AVAILABLE" and resource.profile is None:
        yield PreflightFinding(f"{model} is not available in {region}: use another model or `region`.")
    if model.startswith(_WITHOUT_AGREEMENT):
        return
    if agreement["status"] == "PENDING":
        yield PreflightFinding(f"The agreement for {model} is still pending: wait up to 15 minutes, and run it again.")
    elif agreement["status"] != "AVAILABLE" or answer["entitlementAvailability"] != "AVAILABLE":
        reason = f" ({agreement['errorMessage'].rstrip('.')})" if agreement.get("errorMessage") else ""
        yield PreflightFinding(
            f"The account has no agreement for {model}{reason}: send it one prompt in the playground of the Bedrock "
            "console, as a role with aws-marketplace:Subscribe and ViewSubscriptions."
        )
