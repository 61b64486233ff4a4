"""The gate passes, fails and says when it cannot tell; a simulation on real scores says how often it is wrong."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import made_run, right
from shared_data import ROOT, squad_file

import qa_eval
from qa_eval.analysis.comparison import compare
from qa_eval.analysis.gate import GateFailed, GateResult, gate, judge
from qa_eval.analysis.observations import known_definitions
from qa_eval.analysis.rules import Rule, RuleState, parse_rules
from qa_eval.data import Dataset, load_dataset
from qa_eval.errors import InputError
from qa_eval.experiment.results import RunResult
from qa_eval.spec.metrics import DEFAULT_METRICS


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample", examples=100)


def two(sample: Dataset, wrong_before: int, wrong_after: int, **settings: Any) -> RunResult:
    return made_run(sample, {"A": right(sample, wrong_before), "B": right(sample, wrong_after, 1)}, **settings)


def judged(run: RunResult, rule: str, kind: str = "fail-on", inconclusive: Any = "pass") -> GateResult:
    rules = parse_rules([rule], []) if kind == "fail-on" else parse_rules([], [rule])
    return judge(compare(run), rules, inconclusive)


@pytest.mark.parametrize(
    ("before", "after", "rule", "state"),
    [
        (5, 60, "f1 < -0.02", RuleState.FAILED),
        (60, 5, "f1 < -0.02", RuleState.PASSED),
        (10, 12, "f1 < -0.02", RuleState.INCONCLUSIVE),
        (60, 5, "em > 0.2", RuleState.FAILED),
        (5, 5, "exact_match < -0.5", RuleState.PASSED),
    ],
)
def test_a_rule_on_a_difference(sample: Dataset, before: int, after: int, rule: str, state: RuleState) -> None:
    (check,) = judged(two(sample, before, after), rule).checks
    assert check.state is state


@pytest.mark.parametrize(
    ("wrong", "rule", "state"),
    [
        (5, "em >= 0.6", RuleState.PASSED),
        (60, "em >= 0.6", RuleState.FAILED),
        (38, "em >= 0.6", RuleState.INCONCLUSIVE),
        (5, "answered >= 0.8", RuleState.PASSED),
        (5, "answered >= 0.99", RuleState.INCONCLUSIVE),
        (100, "em >= 0.5", RuleState.FAILED),
        (5, "p50_latency < 2", RuleState.PASSED),
        (5, "p95_latency < 0.2", RuleState.FAILED),
        (5, "cost < 0.001", RuleState.PASSED),
    ],
)
def test_a_rule_on_the_candidates_own_value(sample: Dataset, wrong: int, rule: str, state: RuleState) -> None:
    (check,) = judged(two(sample, 0, wrong), rule, "require").checks
    assert check.state is state


def test_all_right_against_all_wrong_fails_though_nothing_varies(sample: Dataset) -> None:
    (check,) = judged(two(sample, 0, 100), "em < -0.02").checks
    assert check.estimate.low is None
    assert check.state is RuleState.FAILED
    assert "and p = " in check.sentence


def test_latency_in_seconds(sample: Dataset) -> None:
    run = two(sample, 5, 5, latency_s={"A": 0.3, "B": 2.0})
    assert judged(run, "p95_latency > 0.5").checks[0].state is RuleState.FAILED
    assert judged(run, "p50_latency > 5").checks[0].state is RuleState.PASSED


@pytest.mark.parametrize("rule", ["f1 < 0", "f1 < -0.02", "em > 0", "p95_latency > 0.5", "cost > 0", "failed > 0"])
def test_a_run_against_itself_passes(sample: Dataset, rule: str) -> None:
    run = made_run(sample, {"A": right(sample, 20)}, failing=0.05)
    assert gate(run, run, fail_on=rule, inconclusive="fail").passed


def test_inconclusive_is_stated_whichever_it_is(sample: Dataset) -> None:
    run = two(sample, 10, 12)
    passing, failing = (judged(run, "f1 < -0.02", inconclusive=word) for word in ("pass", "fail"))
    assert passing.passed
    assert passing.text.startswith("gate passed: 1 inconclusive; inconclusive rules pass")
    assert not failing.passed
    assert failing.text.startswith("gate FAILED: 1 inconclusive; inconclusive rules fail")


def test_the_function_raises_an_assertion_with_the_verdict(sample: Dataset) -> None:
    run = two(sample, 5, 60)
    with pytest.raises(AssertionError, match=r"(?m)^  B\n    FAILED  fail-on f1 < -0.02: difference -0.5") as caught:
        qa_eval.gate(run, fail_on="f1 < -0.02", require=["em >= 0.1"])
    assert isinstance(caught.value, GateFailed)
    assert [check.state for check in caught.value.result.checks] == [RuleState.FAILED, RuleState.PASSED]


def test_one_system_alone_can_be_required(sample: Dataset) -> None:
    run = made_run(sample, {"A": right(sample, 5)})
    assert gate(run, require="em >= 0.6").passed
    with pytest.raises(InputError, match="compares with a baseline: name two systems"):
        gate(run, fail_on="em < 0")


def test_junit_has_a_case_a_check(sample: Dataset) -> None:
    result = judged(two(sample, 5, 60), "f1 < -0.02")
    suite = ElementTree.fromstring(result.to_junit()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == result.checks[0].sentence


@pytest.mark.parametrize("text", ["f1", "f1 = 3", "< 3", "f1 < x", "f1 < -0.02 or em < 0", "f1 < nan", ""])
def test_what_is_not_a_rule_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"must be a rule like 'f1 < -0.02'"):
        Rule.parse(text, "fail-on")


def test_unknown_measures_name_the_known_ones() -> None:
    with pytest.raises(InputError, match="There is no measure 'accuracy': give one of em, f1, similarity, answered"):
        parse_rules([], ["accuracy < 1"], known_definitions(DEFAULT_METRICS).values())


@given(limit=st.floats(-1, 1), operator=st.sampled_from(["<", "<=", ">", ">="]), value=st.floats(-1, 1))
def test_fail_on_and_require_are_opposites(limit: float, operator: str, value: float) -> None:
    """Feature: litellm-ecs-demo, Property: a value breaks exactly one of `fail-on R` and `require R`."""
    text = f"f1 {operator} {limit!r}"
    assert Rule.parse(text, "fail-on").violated_by(value) != Rule.parse(text, "require").violated_by(value)


def test_what_the_sources_do_not_tell_is_no_pass() -> None:
    folder = load_dataset("sample", examples=100)
    run = made_run(folder, {"A": right(folder), "B": right(folder)})
    without = [system.only(system.items) for system in qa_eval.compare(run).systems]
    bare = [
        type(system)(system.name, {k: _without_cost(item) for k, item in system.items.items()}) for system in without
    ]
    with pytest.raises(InputError, match="cannot be judged: not known for every question of A"):
        gate(*bare, fail_on="cost > 0")


def _without_cost(item: Any) -> Any:
    from dataclasses import replace

    return replace(item, answers=tuple(replace(answer, cost_usd=None) for answer in item.answers))


# --- how often it is wrong ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = spec_from_file_location("gate_benchmark", ROOT / "benchmarks" / "gate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_false_alarms_and_power_on_real_scores(benchmark: ModuleType) -> None:
    """Bounds are those of the benchmark and, for 400 repetitions, three standard errors."""
    people = benchmark.population(Path(squad_file("dev-v1.1.json")).parent)
    rates = benchmark.simulate(people, 100, 400, seed=1, resamples=999)
    for alarms in (rates.sharp_f1, rates.sharp_em, rates.margin_f1, rates.verdict):
        assert alarms <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
    assert rates.margin_f1 <= rates.sharp_f1
    assert rates.power >= 0.80 - 3 * (0.8 * 0.2 / 400) ** 0.5
