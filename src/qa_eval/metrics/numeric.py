"""Numbers in answers: an answer and its references in, whether their numbers are equal out."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

from qa_eval.errors import InputError

_MINUS = "−–﹣－-"  # the ASCII one last, for sets of a pattern
_CURRENCY = "$¢£¤¥฿₠-⃏﹩＄￠￡￥￦"
_SPACES = "\u00a0\u2009\u202f"  # no-break, thin, and narrow no-break: those that stand between groups of digits
_SUPERSCRIPTS = "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_RUN = rf"\d+(?:[.,]\d+|[{_SPACES}]\d{{3}}(?!\d))*"
_POWER = rf"(?:\^|\*\*)\{{?(?:[+{_MINUS}]?{_RUN})\}}?"
# Each part begins with another character than the one before it can go on with: the time is linear in the text.
_NUMBER = re.compile(
    rf"""
    (?P<prefix> [+{_MINUS}]? (?: \\?[{_CURRENCY}]\s? [+{_MINUS}]? )? )
    (?P<point> \.? )
    (?P<run> {_RUN} )
    (?: [eE] (?P<exponent> [+{_MINUS}]?\d+ )
      | \s? (?: [×x·*] | \\times | \\cdot ) \s? 10
        (?: (?: \^ | \*\* ) \{{? (?P<power> [+{_MINUS}]?\d+ ) \}}? | (?P<superscript> [⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+ ) )
    )?
    (?P<joined> (?: [-‐‑–−/:] {_RUN} | {_POWER} )* )
    """,
    re.VERBOSE,
)
_ENGLISH = re.compile(rf"\d+(?:\.\d+)?|(?!0)\d{{1,3}}(?:(?:,\d{{3}})+|(?:[{_SPACES}]\d{{3}})+)(?:\.\d+)?")
_NO_SEPARATORS = str.maketrans("", "", "," + _SPACES)
_AS_ASCII = str.maketrans(_SUPERSCRIPTS + _MINUS, "+-0123456789" + "-" * len(_MINUS))
_EXPONENT_DIGITS = 4
_CLOSING = ")]}%"
# Fifty digits: what is rounded is nowhere near a tolerance that a float can hold.
_ARITHMETIC = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def numeric(answer: str, references: Sequence[str], *, tolerance: float = 0.0, relative: bool = False) -> float:
    """Whether the number in the answer equals the number in one of the references: 1.0 or 0.0.

    A text's number is the last one in it, by the rules of `last_number`; an answer without one is 0.0. The numbers
    are compared as decimal fractions, so that 1.1 is within 0.1 of 1.0. The scale of a unit is not known: "7%"
    equals "7" and not "0.07", and "5 million" equals "5".

    Args:
        answer: Any text.
        references: Accepted answers; those without a number are passed over.
        tolerance: The greatest difference that is still equal.
        relative: Whether the tolerance is a share of the reference's number: 0.01 is one percent of it. A reference
            of 0 then accepts 0 alone.

    Raises:
        InputError: The tolerance is negative or not finite, or one text is given in place of a list.
        ValueError: No reference holds a number.

    Source: the last number, as the filter `flexible-extract` of lm-evaluation-harness's task GSM8K takes it
    (Cobbe et al., 2021, arXiv:2110.14168).
    """
    if isinstance(references, str):
        raise InputError("References are a list of texts, and one text was given: put it in a list.")
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"The tolerance is {tolerance}: give a finite number, 0 or more.")
    targets = [number for number in map(last_number, references) if number is not None]
    if not targets:
        raise ValueError("no reference holds a number")
    number = last_number(answer)
    if number is None:
        return 0.0
    allowed = Decimal(str(tolerance))
    return float(any(_near(number, target, allowed, relative) for target in targets))


def last_number(text: str) -> Decimal | None:
    """The last number that is written in digits in a text; None where there is none.

    It may have thousands separators in groups of three ("1,250", or a no-break or thin space), a decimal point
    ("0.5", ".5"), a sign (also "−"), a currency sign before it, and an exponent ("1.2e5", "1.2 × 10^5", "1.2×10⁵").
    What follows is of no account: "7%", "5kg", "20th".

    What is not read, and passed over:

        words                              "ten", "minus 5" (which is 5)
        parts of names                     "B12", "GPT-4": a letter A-Z, or one with a hyphen, stands before
        several numbers in one             "3/4", "24-10", "10:30", "2024-01-05", "10^8", "2½"
        other notations than English       "1,25", "1.250,75", "1.2.3", "1,2,3"
        an exponent of more than 4 digits  "1e99999"

    A dash is a sign only where no letter, digit, closing bracket, percent sign or further dash stands before it.
    """
    values = map(_value, reversed(list(_NUMBER.finditer(text))))
    return next((number for number in values if number is not None), None)


def _near(number: Decimal, target: Decimal, allowed: Decimal, relative: bool) -> bool:
    if number == target:
        return True
    limit = _ARITHMETIC.multiply(target.copy_abs(), allowed) if relative else allowed
    return _ARITHMETIC.subtract(number, target).copy_abs() <= limit


def _value(match: re.Match[str]) -> Decimal | None:
    before = match.string[match.start() - 1 : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if match["joined"] or _continues(after) or _is_name(before, match["prefix"] + match["point"]):
        return None
    digits = _digits(match, before)
    exponent = (match["exponent"] or match["power"] or match["superscript"] or "0").translate(_AS_ASCII)
    if digits is None or len(exponent.lstrip("+-")) > _EXPONENT_DIGITS:
        return None
    number = Decimal(f"{digits}e{exponent}")
    return number.copy_negate() if _is_negative(before, match["prefix"]) else number


def _digits(match: re.Match[str], before: str) -> str | None:
    """The digits with their decimal point; None where they are no number in English notation."""
    run = match["run"]
    if match["point"] and not (before == "." or before.isalnum()):
        return f".{run}" if run.isdecimal() else None
    return run.translate(_NO_SEPARATORS) if _ENGLISH.fullmatch(run) else None


def _continues(after: str) -> bool:
    """Whether a fraction or a power goes on behind the digits."""
    return after != "" and (after in _SUPERSCRIPTS or unicodedata.category(after) == "No")


def _is_name(before: str, prefix: str) -> bool:
    return prefix in ("", "-") and before.isascii() and before.isalpha()


def _is_negative(before: str, prefix: str) -> bool:
    """Whether a minus stands before the number, or between its currency sign and it."""
    first, rest = prefix[:1], prefix[1:]
    if any(character in _MINUS for character in rest):
        return True
    joined = before.isalnum() or (before != "" and before in _CLOSING + _MINUS)
    return first != "" and first in _MINUS and not joined
