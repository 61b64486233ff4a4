"""Option values that several commands read alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qa_eval.errors import InputError

if TYPE_CHECKING:
    from qa_eval.data.subset import StratifyBy


def count(examples: str) -> int | None:
    """`--examples`: a number, or None for `all`."""
    if examples == "all":
        return None
    if not examples.isdecimal():
        raise InputError(f"--examples {examples} is no number: give how many questions, or `all`.")
    return int(examples)


def stratify(by: str) -> StratifyBy:
    """`--stratify-by`; `load_dataset` refuses what is none of its values."""
    return cast("StratifyBy", by)
