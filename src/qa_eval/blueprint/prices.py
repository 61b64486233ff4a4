"""LiteLLM's price map, read from the installed package without importing it, which takes seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from qa_eval.errors import InputError

PriceMap = Mapping[str, Mapping[str, Any]]
"""Model id to its row: `input_cost_per_token`, `output_cost_per_token`, `deprecation_date` and more."""

_FILE: Final = "model_prices_and_context_window_backup.json"


@cache
def load_price_map() -> PriceMap:
    """The price map of the installed LiteLLM; read once, and not to be changed.

    Raises:
        InputError: LiteLLM is not installed, or has no price map.
    """
    package = find_spec("litellm")
    folder = Path(next(iter(package.submodule_search_locations or []))) if package else Path()
    try:
        prices: PriceMap = json.loads((folder / _FILE).read_bytes())
    except OSError:
        raise InputError("LiteLLM's price map is missing: install qa-eval with its dependencies.") from None
    return prices
