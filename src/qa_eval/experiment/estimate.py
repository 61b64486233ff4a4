"""What a run would take, before anything is sent: questions, tokens, and the cost by LiteLLM's price map."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from qa_eval.data.examples import Dataset
from qa_eval.experiment.plan import Settings
from qa_eval.targets.prompt import Prompt

SCHEMA = "qa-eval/estimate@1"


@dataclass(frozen=True)
class ModelEstimate:
    """What one model group would take."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    """As many as the reference answers have."""
    cost_usd: float | None
    """With the group's cheapest deployment, the guardrail not included; None where no price is known."""
    cost_usd_most: float | None
    """With its dearest, each answer as long as `max_tokens` allows."""


@dataclass(frozen=True)
class CostEstimate:
    """What a run would take; tokens are counted by LiteLLM's default tokenizer, so they are near, not exact."""

    dataset: str
    examples: int
    repeat: int
    models: tuple[ModelEstimate, ...]

    def to_json(self) -> dict[str, Any]:
        """The document that `--dry-run --json` prints."""
        return {"schema": SCHEMA, **asdict(self)}

    def __repr__(self) -> str:
        lines = [f"{self.examples} questions of {self.dataset}, {self.repeat} time(s) each; nothing was sent"]
        for each in self.models:
            cost = (
                "no price is known"
                if each.cost_usd is None
                else f"about {each.cost_usd:.4f} USD, at most {each.cost_usd_most:.4f}"
            )
            lines.append(
                f"{each.model}: {each.calls} calls, about {each.prompt_tokens} tokens in and "
                f"{each.completion_tokens} out, {cost}"
            )
        return "\n".join([*lines, "Prices are LiteLLM's; a guardrail costs extra."])


def estimate(dataset: Dataset, settings: Settings, deployments: Mapping[str, Sequence[str]]) -> CostEstimate:
    """Estimate a run.

    Args:
        dataset: The questions.
        settings: The models, the prompt, the repetitions.
        deployments: The rows of LiteLLM's price map that each model group may answer with; a group that is missing
            is taken for a row itself.
    """
    prompt = Prompt(settings.prompt)
    tokens_in = sum(_tokens(prompt.fill(example)) for example in dataset) * settings.repeat
    answers = [fmean(map(_tokens, example.references)) if example.references else 1.0 for example in dataset]
    tokens_out = round(sum(answers)) * settings.repeat
    calls = len(dataset) * settings.repeat

    def of(model: str) -> ModelEstimate:
        prices = [price for row in deployments.get(model, (model,)) if (price := _price(row))]
        costs = [tokens_in * read + tokens_out * write for read, write in prices]
        most = [tokens_in * read + calls * settings.max_tokens * write for read, write in prices]
        return ModelEstimate(model, calls, tokens_in, tokens_out, min(costs, default=None), max(most, default=None))

    return CostEstimate(dataset.name, len(dataset), settings.repeat, tuple(of(model) for model in settings.models))


def _litellm() -> Any:
    # Prices come with the installed package: LiteLLM would otherwise fetch them from the network when imported.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    return litellm


def _tokens(text: str) -> int:
    return int(_litellm().token_counter(model="", text=text))


def _price(row: str) -> tuple[float, float] | None:
    """US dollars a token, in and out."""
    entry = _litellm().model_cost.get(row)
    return None if entry is None else (entry["input_cost_per_token"], entry.get("output_cost_per_token", 0.0))
