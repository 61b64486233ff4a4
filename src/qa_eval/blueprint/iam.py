"""The Bedrock resources that the gateway may use: exactly those in `config.yaml`.

In: the validated configuration. Out: the models with their inference profiles and regions, and their ARNs. A model with
a cross-region inference profile (`us.…`) needs both: the profile in the gateway's region, and the foundation model in
every region to which the profile may route a request. Source: "Prerequisites for inference
profiles" and "Geographic cross-Region inference" in the Amazon Bedrock user guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qa_eval.blueprint.gateway import PREFIX, LiteLLMConfig
from qa_eval.errors import InputError

MODEL_ACTIONS: Final = ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
"""The actions on a model: Converse and InvokeModel need the first, ConverseStream the second."""

GUARDRAIL_ACTIONS: Final = ("bedrock:ApplyGuardrail",)
"""The actions on the guardrail, whose ARN is known where it is created."""

DESTINATIONS: Final = {
    "us": ("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    "eu": ("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"),
    "global": ("",),
}
"""The regions to which the profiles of a geography route. AWS may change the regions of a single model, so all are
allowed; the ARN of a global profile's model has no region."""

_OTHER_GEOGRAPHIES: Final = frozenset({"apac", "au", "ca", "jp", "us-gov"})


@dataclass(frozen=True)
class BedrockResource:
    """One model as an IAM resource."""

    model: str
    """The foundation model's id, without the prefix of a profile."""
    profile: str | None
    """The inference profile's id; None if the model is called directly."""
    regions: tuple[str, ...]
    """The regions of the foundation model; empty for the gateway's own region."""

    def arns(self, *, partition: str, region: str, account: str) -> tuple[str, ...]:
        """The ARNs that a call of this model needs, the profile's first.

        Args:
            partition: `aws`; CDK tokens are allowed, here and below.
            region: The gateway's region.
            account: The gateway's account.
        """
        regions = self.regions or (region,)
        if self.profile and "" in regions:
            regions = (region, *regions)
        models = tuple(f"arn:{partition}:bedrock:{each}::foundation-model/{self.model}" for each in regions)
        if self.profile is None:
            return models
        return (f"arn:{partition}:bedrock:{region}:{account}:inference-profile/{self.profile}", *models)


def bedrock_resources(config: LiteLLMConfig) -> tuple[BedrockResource, ...]:
    """The distinct models of a configuration, sorted by id.

    Raises:
        InputError: The regions of a model's inference profile are unknown.
    """
    models = sorted({entry.litellm_params.model.removeprefix(PREFIX) for entry in config.model_list})
    return tuple(_resources(models))


def _resources(models: list[str]) -> Iterator[BedrockResource]:
    for model in models:
        geography, _, rest = model.partition(".")
        if geography in _OTHER_GEOGRAPHIES:
            raise InputError(f"The regions of {model} are unknown: add {geography!r} to DESTINATIONS in iam.py.")
        if geography in DESTINATIONS:
            yield BedrockResource(rest, model, DESTINATIONS[geography])
        else:
            yield BedrockResource(model, None, ())
