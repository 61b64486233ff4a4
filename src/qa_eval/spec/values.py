"""Values that are written in several ways: counts, durations, lists of names."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_count(value: Any) -> Any:
    """A positive integer or `all`."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("must be a positive integer or `all`")


def parse_concurrency(value: Any) -> Any:
    """A positive integer or `auto`."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("must be a positive integer or `auto`")


def parse_seconds(value: Any) -> Any:
    """Seconds: a number above 0, alone or with `s`, `m` or `h`."""
    number: Any = value
    factor = 1.0
    if isinstance(value, str):
        number, unit = (value[:-1], value[-1]) if value[-1:] in _UNITS else (value, "s")
        factor = _UNITS[unit]
    try:
        seconds = float(number) * factor
    except (TypeError, ValueError):
        raise ValueError("must be seconds, or a number with s, m or h such as 10m") from None
    if isinstance(value, bool) or not 0 < seconds < math.inf:
        raise ValueError("must be a time greater than 0")
    return seconds


def one_or_several(value: Any) -> Any:
    """A list, or one text."""
    return (value,) if isinstance(value, str) else value


def parse_names(value: Any) -> Any:
    """One name, or several: a list, or text in which `+` joins them."""
    return tuple(part for part in value.split("+") if part) if isinstance(value, str) else value


def check_recorded(text: str) -> str:
    """Which examples are recorded: `all`, `sample:N`, `failures+N` or `none`."""
    if re.fullmatch(r"all|none|sample:[1-9]\d*|failures\+\d+", text) is None:
        raise ValueError("must be all, sample:N, failures+N or none")
    return text


RULE = re.compile(r"\s*([A-Za-z][\w.-]*)\s*(<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
"""A gate's rule: a measure, an operator, a limit."""


def check_rule(text: str) -> str:
    """A rule such as `f1 < -0.02`."""
    if RULE.fullmatch(text) is None:
        raise ValueError("must be a rule like 'f1 < -0.02'")
    return text


RuleText = Annotated[str, AfterValidator(check_rule)]
Rules = Annotated[tuple[RuleText, ...], BeforeValidator(one_or_several, json_schema_input_type=str | list[str])]
Count = Annotated[int | Literal["all"], BeforeValidator(parse_count, json_schema_input_type=int | Literal["all"])]
Concurrency = Annotated[
    int | Literal["auto"], BeforeValidator(parse_concurrency, json_schema_input_type=int | Literal["auto"])
]
Seconds = Annotated[float, BeforeValidator(parse_seconds, json_schema_input_type=float | str)]
Recorded = Annotated[str, AfterValidator(check_recorded)]
Names = Annotated[tuple[str, ...], BeforeValidator(parse_names, json_schema_input_type=str | list[str])]
