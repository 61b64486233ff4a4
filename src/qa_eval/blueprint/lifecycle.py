"""The end of life of Bedrock models: a dated list, because LiteLLM's price map keeps retired models.

After its last day a model answers every request with an error. Source: AWS's page "Model lifecycle" as quoted in the
public threads awslabs/startups#131, #304 and #307, anomalyco/models.dev#3708 and epam/ai-dial-adapter-bedrock#310,
as of `AS_OF`. Check them again with every change of a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

AS_OF: Final = date(2026, 11, 22)

NOTICE: Final = timedelta(days=60)
"""A model that ends within this time is a finding: its replacement takes a comparison, a review and a deployment."""

END_OF_LIFE: Final[Mapping[str, date]] = {
    "ai21.jamba-1-5-large-v1:0": date(2026, 11, 26),
    "ai21.jamba-1-5-mini-v1:0": date(2026, 11, 26),
    "amazon.nova-premier-v1:0": date(2026, 9, 14),
    # The notice has only the month; the price map still has the row, without a date.
    "amazon.titan-text-express-v1": date(2025, 8, 31),
    "anthropic.claude-3-5-sonnet-20240620-v1:0": date(2026, 7, 30),
    "anthropic.claude-3-5-sonnet-20241022-v2:0": date(2026, 7, 30),
    "anthropic.claude-3-7-sonnet-20250219-v1:0": date(2026, 4, 28),
    "anthropic.claude-3-haiku-20240307-v1:0": date(2026, 9, 10),
    "anthropic.claude-3-sonnet-20240229-v1:0": date(2026, 7, 30),
    "anthropic.claude-opus-4-1-20250805-v1:0": date(2027, 1, 8),
    "anthropic.claude-sonnet-4-20250514-v1:0": date(2026, 10, 14),
    "anthropic.claude-v2": date(2025, 7, 21),
    "anthropic.claude-v2:1": date(2025, 7, 21),
    "cohere.command-light-text-v14": date(2025, 8, 12),
    "cohere.command-r-plus-v1:0": date(2026, 8, 19),
    "cohere.command-r-v1:0": date(2026, 8, 19),
    "cohere.command-text-v14": date(2025, 8, 12),
    "meta.llama3-1-405b-instruct-v1:0": date(2026, 7, 7),
}
"""Foundation model, without the prefix of an inference profile, to its last day."""


def end_of_life(model: str, prices: Mapping[str, Mapping[str, Any]]) -> date | None:
    """A model's last day; None if it is unknown.

    Args:
        model: Its id, with or without the prefix of an inference profile, without `bedrock/`.
        prices: LiteLLM's price map, whose `deprecation_date` is the second source; the earlier day counts.
    """
    own = [day for name, day in END_OF_LIFE.items() if model == name or model.endswith(f".{name}")]
    deprecation = str(prices.get(model, {}).get("deprecation_date") or "")
    mapped = [date.fromisoformat(deprecation)] if deprecation else []
    return min([*own, *mapped], default=None)
