"""Which examples Phoenix gets: `recording.examples`, on a real Phoenix."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from commands import qa_eval as command
from fake_gateway import KEY, FakeGateway, Serve, completion, error
from hypothesis import given
from hypothesis import strategies as st
from numbers_dataset import PROMPT, dataset, number, right, run

import qa_eval
from qa_eval.errors import InputError
from qa_eval.experiment.record_policy import RecordPolicy
from qa_eval.experiment.results import RunResult
from qa_eval.stack import RunningStack


@given(ids=st.sets(st.text(max_size=5), max_size=30), few=st.integers(1, 10), more=st.integers(0, 10))
def test_a_larger_sample_holds_a_smaller_one(ids: set[str], few: int, more: int) -> None:
    """Feature: qa-eval, Property: nested samples"""
    small, large = (RecordPolicy(f"sample:{count}").sample(ids) for count in (few, few + more))
    assert small <= large <= ids
    assert len(small) == min(few, len(ids))


def in_phoenix(stack: RunningStack, result: RunResult) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each experiment as Phoenix has it, and its runs."""
    found = []
    for experiment in result.experiments:
        at = f"{stack.phoenix_url}/v1/experiments/{experiment.phoenix_id}"
        found.append((httpx.get(at).json()["data"], httpx.get(f"{at}/json").json()))
    return found


def examples_of(runs: list[dict[str, Any]]) -> set[str]:
    return {each["input"]["question"] for each in runs}


def some_fail(gateway: FakeGateway, prompt: str) -> Any:
    """Question 3 has no answer, question 5 a wrong one."""
    asked = number(prompt)
    return error(400) if asked == 3 else completion("wrong" if asked == 5 else right(gateway, prompt))


def test_a_sample_is_recorded_and_all_is_measured(stack: RunningStack, serve: Serve) -> None:
    gateway = serve(right)
    keywords: dict[str, Any] = {"phoenix": stack.phoenix_url, "models": ("qa", "other")}
    result = run(dataset(30, "sampled"), gateway, record_examples="sample:4", **keywords)
    assert [len(each.answers) for each in result.experiments] == [30, 30]
    assert (result.unrecorded, result.unwanted) == (0, 52)
    (first, runs), (_, others) = in_phoenix(stack, result)
    assert len(runs) == len(others) == 4
    assert examples_of(runs) == examples_of(others)
    assert first["metadata"]["recorded"] == "4 of 30 examples recorded (sample:4)"
    assert first["metadata"]["scores"]["exact_match"]["mean"] == 1.0
    larger = run(dataset(30, "sampled"), gateway, record_examples="sample:9", **keywords)
    assert examples_of(runs) < examples_of(in_phoenix(stack, larger)[0][1])


def test_failures_of_any_system_are_recorded_for_all(stack: RunningStack, serve: Serve) -> None:
    gateway = serve(lambda g, p: some_fail(g, p) if g.requests[-1]["model"] == "qa" else completion(right(g, p)))
    result = run(
        dataset(30, "failing"),
        gateway,
        phoenix=stack.phoenix_url,
        models=("qa", "other"),
        record_examples="failures+2",
        max_errors=0.5,
    )
    (first, runs), (_, others) = in_phoenix(stack, result)
    asked = {number(text) for text in examples_of(runs)}
    assert {3, 5} <= asked
    assert 3 <= len(asked) <= 4
    assert examples_of(others) == examples_of(runs)
    assert result.unwanted == 60 - 2 * len(runs)
    assert "(failures+2)" in first["description"]
    shown = command("runs", "show", result.run_id).stdout
    assert f"Phoenix has {2 * len(runs)} of 60 answers (failures+2)." in shown
    refused = command("compare", str(result.experiments[0].phoenix_id), "latest", "--phoenix", stack.phoenix_url)
    assert (refused.returncode, "holds mostly failures" in refused.stderr) == (2, True)


def test_what_failed_once_and_is_asked_again_is_recorded_anew(
    stack: RunningStack, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    gateway = serve(some_fail)
    first = run(dataset(20, "again"), gateway, phoenix=stack.phoenix_url, record_examples="failures+0", max_errors=0.5)
    assert {number(text) for text in examples_of(in_phoenix(stack, first)[0][1])} == {3, 5}
    gateway.answer = right
    again = qa_eval.resume(first.run_id, gateway=gateway.url, phoenix=stack.phoenix_url, retry_failed=True)
    assert again.unrecorded == 0
    assert {number(text) for text in examples_of(in_phoenix(stack, again)[0][1])} == {5}


def test_none_needs_no_phoenix(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    data, gateway = dataset(3), serve(right)
    result = qa_eval.run_experiment(data, gateway=gateway.url, record="none", prompts=PROMPT)
    assert result.metadata.spec.recording.phoenix is False
    with pytest.raises(InputError, match=r"`record_examples` must be all, sample:N, failures\+N or none, not `some`"):
        qa_eval.run_experiment(data, gateway=gateway.url, record_examples="some")


def test_the_plan_says_how_long_recording_takes(serve: Serve) -> None:
    asked = ("run-experiment", "--dry-run", "--gateway", "http://127.0.0.1:9", "--phoenix", "http://127.0.0.1:9")
    assert "Recording in Phoenix (all) takes about 2 s." in command(*asked, "--model", "qa").stdout
    assert "(sample:40) takes about 1 s." in command(*asked, "--model", "qa", "--record", "sample:40").stdout
    assert "Recording" not in command(*asked, "--model", "qa", "--record", "none").stdout
