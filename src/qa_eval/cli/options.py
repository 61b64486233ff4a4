"""Option values that several commands read alike."""

from __future__ import annotations

from qa_eval.errors import InputError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def count(examples: str) -> int | None:
    """`--examples`: a number, or None for `all`."""
    if examples == "all":
        return None
    if not examples.isdecimal():
        raise InputError(f"--examples {examples} is no number: give how many questions, or `all`.")
    return int(examples)


def concurrency(value: str) -> int | None:
    """`--concurrency`: a number, or None for `auto`."""
    if value == "auto":
        return None
    if not value.isdecimal():
        raise InputError(f"--concurrency {value} is no number: give how many questions at once, or `auto`.")
    return int(value)


def seconds(value: str | None) -> float | None:
    """`--max-time`: seconds, or a number with `s`, `m` or `h`."""
    if value is None:
        return None
    number, unit = (value[:-1], value[-1]) if value[-1:] in _UNITS else (value, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError:
        raise InputError(f"--max-time {value} is no time: give seconds, or for example 10m.") from None
