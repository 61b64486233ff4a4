"""The price map is the one that LiteLLM itself uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qa_eval.blueprint import prices
from qa_eval.blueprint.gateway import read_config
from qa_eval.errors import InputError


def test_every_deployment_of_the_blueprint_has_a_price() -> None:
    table = prices.load_price_map()
    rows = {row for group in read_config().price_rows().values() for row in group}
    assert [row for row in rows if table[row]["input_cost_per_token"] <= 0] == []


def test_litellm_itself_is_not_imported() -> None:
    code = "import sys; from qa_eval.blueprint.prices import load_price_map as m; m(); print('litellm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_litellm_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="price map is missing: install qa-eval with its dependencies"):
        prices.load_price_map.__wrapped__()
