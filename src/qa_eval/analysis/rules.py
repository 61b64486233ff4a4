"""The rules of a gate: limits as the user writes them, such as `f1 < -0.02`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from qa_eval.analysis.measures import METRIC_NAMES, find_measure
from qa_eval.errors import InputError
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.spec.values import RULE

Kind = Literal["fail-on", "require"]
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}


class RuleState(StrEnum):
    """What a rule came to."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit, as the user writes it."""

    kind: Kind
    name: str
    """The measure's."""
    operator: str
    limit: float

    @classmethod
    def parse(cls, text: str, kind: Kind) -> Rule:
        """Read `f1 < -0.02`.

        Raises:
            InputError: It is no rule.
        """
        match = RULE.fullmatch(text)
        if match is None:
            example = "f1 < -0.02" if kind == "fail-on" else "em >= 0.6"
            raise InputError(f"`{kind.replace('-', '_')}` must be a rule like {example!r}, not {text!r}.")
        return cls(kind, METRIC_NAMES.get(match[1], match[1]), match[2], float(match[3]))

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.operator} {self.limit:g}"

    def violated_by(self, value: float) -> bool:
        """Whether a value, were it the true one, breaks the rule."""
        holds = _HOLDS[self.operator](value, self.limit)
        return holds if self.kind == "fail-on" else not holds


def parse_rules(
    fail_on: Iterable[str], require: Iterable[str], definitions: Iterable[MetricDefinition] | None = None
) -> list[Rule]:
    """Read all rules, before anything else takes time.

    Args:
        fail_on: Rules on candidate minus baseline.
        require: Rules on a candidate's own value.
        definitions: The metrics that there will be; None where that is not known yet.

    Raises:
        InputError: One is no rule, or names no measure.
    """
    rules = _parsed(fail_on, require)
    if definitions is not None:
        known = tuple(definitions)
        for rule in rules:
            find_measure(rule.name, known)
    return rules


def _parsed(fail_on: Iterable[str], require: Iterable[str]) -> list[Rule]:
    return [Rule.parse(text, "fail-on") for text in fail_on] + [Rule.parse(text, "require") for text in require]
