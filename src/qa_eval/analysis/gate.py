"""The gate: rules that a candidate must keep, judged with the sample's uncertainty, for a build to pass.

    fail_on   'f1 < -0.02', 'p95_latency > 0.5', 'cost > 0.001'     candidate minus baseline
    require   'em >= 0.6', 'failed <= 0.01'                         the candidate's own value

Scores and shares count 0 to 1 over all questions, latency in seconds, cost in US dollars a question. A rule fails
when the whole 95 % interval violates it and passes when none of it does. Between the two the sample cannot tell:
that is `inconclusive`, and passes or fails as the caller says, never silently. Where the bootstrap has no interval
because groups hardly vary, the sign-flip test about the rule's limit decides instead. Two runs that do not differ on
a single question differ by 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Any, Literal
from xml.etree import ElementTree

from qa_eval.analysis.comparison import Comparison, compare_systems
from qa_eval.analysis.differences import all_definitions
from qa_eval.analysis.measures import (
    Measure,
    Unit,
    available,
    comparable,
    find_measure,
    paired_values,
    same_everywhere,
    system_value,
)
from qa_eval.analysis.observations import Observations
from qa_eval.analysis.pairs import Pair
from qa_eval.analysis.rules import Rule, RuleState, parse_rules
from qa_eval.analysis.sources import Source, observe
from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.experiment.results import RunResult
from qa_eval.statistics import ALPHA, Estimate, offset_p_value

OnInconclusive = Literal["pass", "fail"]


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """One rule on one candidate."""

    rule: Rule
    measure: Measure
    candidate: str
    state: RuleState
    estimate: Estimate
    p_value: float | None = None
    """Of the test about the limit, where that decided."""
    by_design: bool = False
    """Whether the interval is that of a run that stops early."""

    @property
    def sentence(self) -> str:
        """The finding with its figures."""
        finding = f"{self.candidate}: {self.rule}: {self.state}"
        return f"{finding}; the {self._subject} is {self._size}, {self._certainty('with 95 % confidence ')}"

    def line(self, width: int) -> str:
        """The finding below its candidate's name, in 80 columns; `width` is the longest state's."""
        state = self.state.upper() if self.state is RuleState.FAILED else self.state
        rule = f"    {state:{width}}  {self.rule}:"
        figures = f"{self._subject} {self._size} ({self._certainty('95 %: ')})"
        if len(f"{rule} {figures}") <= 80:
            return f"{rule} {figures}"
        margin = " " * (width + 8)
        return f"{rule}\n{fill(figures, 80, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)}"

    @property
    def _subject(self) -> str:
        return "difference" if self.rule.kind == "fail-on" else "value"

    @property
    def _size(self) -> str:
        return _figure(self.measure, self.estimate.estimate)

    def _certainty(self, confidence: str) -> str:
        low, high = self.estimate.low, self.estimate.high
        if same_everywhere(self.estimate):
            return "the same on every question"
        if low is not None and high is not None:
            allowed = ", looks allowed for" if self.by_design else ""
            return f"{confidence}{low:.3g} to {_figure(self.measure, high)}{allowed}"
        tested = "" if self.p_value is None else f", and p = {self.p_value:.2g} about the limit"
        return f"without an interval: {self.estimate.limit}{tested}"

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        return {
            "rule": str(self.rule),
            "candidate": self.candidate,
            "state": str(self.state),
            "estimate": self.estimate.estimate,
            "low": self.estimate.low,
            "high": self.estimate.high,
            "p_value_about_limit": self.p_value,
            "method": self.estimate.method,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class GateResult:
    """All checks, and what they come to."""

    checks: tuple[RuleCheck, ...]
    inconclusive: OnInconclusive
    comparison: Comparison | None = None

    @property
    def passed(self) -> bool:
        """Whether the build may go on."""
        return not any(self._fails(check) for check in self.checks)

    @property
    def reason(self) -> str:
        """What made it fail, in one line; empty where it passed."""
        return "; ".join(check.sentence for check in self.checks if self._fails(check))

    @property
    def text(self) -> str:
        """The gate's verdict in 80 columns: each system's checks, and how inconclusive ones are treated."""
        unclear = sum(check.state is RuleState.INCONCLUSIVE for check in self.checks)
        ending = f"{unclear} inconclusive; inconclusive rules {self.inconclusive}"
        lines = [f"gate {'passed' if self.passed else 'FAILED'}: {ending}"]
        width = max((len(check.state) for check in self.checks), default=0)
        for candidate in dict.fromkeys(check.candidate for check in self.checks):
            lines.append(f"  {candidate}")
            lines += [check.line(width) for check in self.checks if check.candidate == candidate]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        return {
            "passed": self.passed,
            "inconclusive": self.inconclusive,
            "checks": [check.to_json() for check in self.checks],
        }

    def to_junit(self) -> str:
        """A JUnit document: a test case a check."""
        failed = [check for check in self.checks if self._fails(check)]
        suite = ElementTree.Element(
            "testsuite", name="qa-eval gate", tests=str(len(self.checks)), failures=str(len(failed)), errors="0"
        )
        for check in self.checks:
            case = ElementTree.SubElement(suite, "testcase", classname=_xml(check.candidate), name=str(check.rule))
            if self._fails(check):
                reason = _xml(check.sentence)
                ElementTree.SubElement(case, "failure", message=reason, type=str(check.state)).text = reason
            ElementTree.SubElement(case, "system-out").text = _xml(
                f"{check.sentence}\ninconclusive rules {self.inconclusive}"
            )
        root = ElementTree.Element("testsuites")
        root.append(suite)
        return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

    def _fails(self, check: RuleCheck) -> bool:
        return check.state is RuleState.FAILED or (
            check.state is RuleState.INCONCLUSIVE and self.inconclusive == "fail"
        )


class GateFailed(AssertionError):
    """A gate says no; its message is the verdict, and `result` has the figures."""

    def __init__(self, result: GateResult) -> None:
        super().__init__(result.text)
        self.result = result


def gate(
    *sources: Source,
    fail_on: str | Sequence[str] = (),
    require: str | Sequence[str] = (),
    inconclusive: OnInconclusive = "pass",
    dataset: Dataset | str | Path | None = None,
    phoenix: str | None = None,
) -> GateResult:
    """Demand something of one or more systems, in a test of your own: it raises where a rule is broken.

    Args:
        sources: As for `compare`: the baseline first, then the candidates. For `require` alone, one is enough.
        fail_on: Rules on candidate minus baseline, such as `f1 < -0.02`.
        require: Rules on each candidate's own value, such as `em >= 0.6`.
        inconclusive: What becomes of a rule that the sample can neither show kept nor broken.
        dataset: The questions that predictions files answer.
        phoenix: The base URL of the Phoenix that holds experiments named by their id.

    Returns:
        `GateResult`, where the gate passes; its `text` says how.

    Raises:
        GateFailed: A rule is broken; it is an `AssertionError`.
        InputError: A rule or a source is wrong.
    """
    rules = parse_rules(_several(fail_on), _several(require))
    systems = observe(sources, dataset=dataset, phoenix=phoenix)
    comparison = compare_systems(systems) if len(systems) > 1 else None
    result = judge(comparison, rules, inconclusive) if comparison else judge_alone(systems, rules, inconclusive)
    if not result.passed:
        raise GateFailed(result)
    return result


def judge(comparison: Comparison, rules: Sequence[Rule], inconclusive: OnInconclusive) -> GateResult:
    """RuleCheck every rule on every candidate of a comparison, on the common questions.

    Raises:
        InputError: A rule asks for what the sources do not tell.
    """
    _check_word(inconclusive)
    checks = [
        _check_difference(rule, pair) if rule.kind == "fail-on" else _check_value(rule, pair.candidate)
        for pair in comparison.pairs
        for rule in rules
    ]
    return GateResult(tuple(checks), inconclusive, comparison)


def judge_run(result: RunResult) -> GateResult:
    """RuleCheck the rules of a run's own specification: its systems against its baseline, the first by default.

    Raises:
        InputError: A rule asks for what the run does not tell.
    """
    spec = result.metadata.spec.gate
    rules = parse_rules(spec.fail_on, spec.require)
    systems = observe([result])
    baseline = spec.baseline or systems[0].name
    ordered = sorted(systems, key=lambda system: system.name != baseline)
    if len(ordered) == 1:
        return judge_alone(ordered, rules, spec.inconclusive)
    judged = judge(compare_systems(ordered), rules, spec.inconclusive)
    own = [_check_value(rule, ordered[0]) for rule in rules if rule.kind == "require"]
    return replace(judged, checks=(*own, *judged.checks))


def judge_alone(systems: Sequence[Observations], rules: Sequence[Rule], inconclusive: OnInconclusive) -> GateResult:
    """RuleCheck the rules on one system's own values.

    Raises:
        InputError: There is no system, a rule needs a baseline, or asks for what the source does not tell.
    """
    _check_word(inconclusive)
    if not systems:
        raise InputError("There is nothing to judge: name a run, a file or an experiment.")
    differing = [rule for rule in rules if rule.kind == "fail-on"]
    if differing:
        raise InputError(f"'{differing[0]}' compares with a baseline: name two systems, the baseline first.")
    return GateResult(tuple(_check_value(rule, system) for system in systems for rule in rules), inconclusive)


def _check_word(inconclusive: str) -> None:
    if inconclusive not in ("pass", "fail"):
        raise InputError(f"`inconclusive` must be pass or fail, not `{inconclusive}`.")


def _check_difference(rule: Rule, pair: Pair) -> RuleCheck:
    baseline, candidate = pair.baseline, pair.candidate
    measure = find_measure(rule.name, all_definitions((baseline, candidate)))
    problem = comparable(measure, baseline, candidate)
    if problem is not None:
        raise InputError(f"'{rule}' cannot be judged: {problem}.")
    estimate = pair.difference(measure)
    state, p_value = _judged(rule, measure, estimate, lambda: paired_values(measure, baseline, candidate))
    return RuleCheck(rule, measure, candidate.name, state, estimate, p_value, by_design=pair.decides(measure))


def _check_value(rule: Rule, system: Observations) -> RuleCheck:
    measure = find_measure(rule.name, system.definitions.values())
    if not available(measure, system):
        raise InputError(f"'{rule}' cannot be judged: it is not known for every question of {system.name}.")
    estimate = system_value(measure, system)

    def values() -> tuple[list[float], list[float], list[str]]:
        _, own, groups = paired_values(measure, system, system)
        return [0.0] * len(own), own, groups

    state, p_value = _judged(rule, measure, estimate, values)
    return RuleCheck(rule, measure, system.name, state, estimate, p_value)


def _judged(
    rule: Rule, measure: Measure, estimate: Estimate, values: Callable[[], tuple[list[float], list[float], list[str]]]
) -> tuple[RuleState, float | None]:
    """What the interval says of the rule; without one, what the test about the limit says."""
    state = state_of(rule, estimate)
    if state is not None:
        return state, None
    if measure.read is None:
        return RuleState.INCONCLUSIVE, None
    p_value = offset_p_value(*values(), rule.limit)
    return (_state([rule.violated_by(estimate.estimate)]) if p_value <= ALPHA else RuleState.INCONCLUSIVE), p_value


def state_of(rule: Rule, estimate: Estimate) -> RuleState | None:
    """What an estimate's interval says of a rule; None where it has none."""
    if same_everywhere(estimate):
        return _state([rule.violated_by(0.0)])
    if estimate.low is None or estimate.high is None:
        return None
    return _state([rule.violated_by(estimate.low), rule.violated_by(estimate.high)])


def _state(violated: Sequence[bool]) -> RuleState:
    if all(violated):
        return RuleState.FAILED
    return RuleState.INCONCLUSIVE if any(violated) else RuleState.PASSED


def _figure(measure: Measure, value: float) -> str:
    """In the rule's own unit, so that it can be held against the limit."""
    return f"{value:.3g} s" if measure.unit is Unit.SECONDS else f"{value:.3g}"


def _several(rules: str | Sequence[str]) -> Sequence[str]:
    return [rules] if isinstance(rules, str) else rules


def _xml(text: str) -> str:
    """Without the control characters that XML 1.0 cannot hold."""
    return "".join(character for character in text if character in "\t\n" or character >= " ")
