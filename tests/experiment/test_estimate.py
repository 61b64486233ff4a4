"""What a dry run says: tokens and cost by LiteLLM's price map, and nothing sent."""

from __future__ import annotations

import socket

import pytest

import qa_eval


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("no_network")
def test_tokens_and_cost_of_the_sample() -> None:
    import litellm

    cost = qa_eval.estimate_experiment("sample", models=["nova-micro", "qa", "nobody"], repeat=2, max_tokens=32)
    micro, group, nobody = cost.systems
    assert micro.calls == 200
    assert 150 * 200 < micro.prompt_tokens < 400 * 200
    row = litellm.model_cost["us.amazon.nova-micro-v1:0"]
    assert micro.cost_usd == pytest.approx(
        micro.prompt_tokens * row["input_cost_per_token"] + micro.completion_tokens * row["output_cost_per_token"]
    )
    # The group answers with its cheapest deployment, and could with its dearest.
    assert group.cost_usd == micro.cost_usd
    dearest = litellm.model_cost["us.anthropic.claude-sonnet-4-6"]
    assert group.cost_usd_most == pytest.approx(
        group.prompt_tokens * dearest["input_cost_per_token"] + 200 * 32 * dearest["output_cost_per_token"]
    )
    assert (nobody.cost_usd, nobody.cost_usd_most) == (None, None)
    assert "no price is known" in repr(cost)
    assert "nothing was sent" in repr(cost)


def test_judgements_are_estimated_too() -> None:
    cost = qa_eval.estimate_experiment(
        "sample", examples=10, models=["nova-lite", "claude-haiku"], metrics=["judge:correctness", "judge:preference"],
        judge_model="claude-sonnet", planted=5, gateway="http://x", record=False,
    )  # fmt: skip
    correctness, preference = cost.judges
    assert (correctness.system, correctness.calls) == ("correctness", 2 * 10 + 5 + 5)
    assert (preference.system, preference.calls) == ("preference", 2 * 10)
    assert correctness.cost_usd is not None
    assert 0.01 < correctness.cost_usd < 1
    assert "judge correctness: at most 30 calls, about " in repr(cost)
