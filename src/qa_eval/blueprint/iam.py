"""Which Bedrock resources the gateway must be allowed to use: what `config.yaml` names, and nothing else.

In: the checked configuration. Out: the models with their inference profiles and regions, and their ARNs. A model
behind a cross-region inference profile (`us.…`) needs both: the profile in the gateway's own region, and the
foundation model in every region that the profile may send a request to. Source: "Prerequisites for inference
profiles" and "Geographic cross-Region inference" in the Amazon Bedrock user guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qa_eval.blueprint.gateway import PREFIX, LiteLLMConfig
from qa_eval.errors import InputError

MODEL_ACTIONS: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
"""What the gateway does with a model: Converse and InvokeModel ask for the first, ConverseStream for the second."""

GUARDRAIL_ACTIONS: Final = ("bedrock:ApplyGuardrail",)
"""What the gateway does with the guardrail; its ARN is made where the guardrail is."""

DESTINATIONS: Final = {
    "us": ("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    "eu": ("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"),
    "global": ("",),
}
"""The regions that the profiles of a geography send to. Which of them a single model uses is AWS's to change, so all
are allowed; a global profile is asked for by an ARN without a region."""

_OTHER_GEOGRAPHIES: Final = frozenset({"apac", "au", "ca", "jp", "us-gov"})


@dataclass(frozen=True)
class BedrockResource:
    """One model as IAM sees it."""

    model: str
    """The foundation model's id, without a profile's prefix."""
    profile: str | None
    """The inference profile's id, or None where the model is called directly."""
    regions: tuple[str, ...]
    """Where the foundation model may be called; empty for the gateway's own region."""

    def arns(self, *, partition: str, region: str, account: str) -> tuple[str, ...]:
        """All ARNs that a call of this model needs, the profile's first.

        Args:
            partition: `aws`; CDK's token will do, here and below.
            region: the gateway's own region.
            account: the gateway's account.
        """
        regions = self.regions or (region,)
        if self.profile and "" in regions:
            regions = (region, *regions)
        models = tuple(f"arn:{partition}:bedrock:{each}::foundation-model/{self.model}" for each in regions)
        if self.profile is None:
            return models
        return (f"arn:{partition}:bedrock:{region}:{account}:inference-profile/{self.profile}", *models)


def bedrock_resources(config: LiteLLMConfig) -> tuple[BedrockResource, ...]:
    """The models of a configuration, each once, sorted by their ids.

    Raises:
        InputError: A model's inference profile belongs to a geography whose regions are not listed here.
    """
    models = sorted({entry.litellm_params.model.removeprefix(PREFIX) for entry in config.model_list})
    return tuple(_resources(models))


def _resources(models: list[str]) -> Iterator[BedrockResource]:
    for model in models:
        geography, _, rest = model.partition(".")
        if geography in _OTHER_GEOGRAPHIES:
            raise InputError(f"The regions behind {model} are not known: add {geography!r} to DESTINATIONS in iam.py.")
        if geography in DESTINATIONS:
            yield BedrockResource(rest, model, DESTINATIONS[geography])
        else:
            yield BedrockResource(model, None, ())
