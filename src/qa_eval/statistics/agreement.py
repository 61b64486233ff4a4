"""Two raters on the same answers, a judge and people: how often they agree, and how much of that is not chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import special

from qa_eval.errors import InputError
from qa_eval.statistics.intervals import share_interval

_NO_ERROR = 1e-6


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a judge agrees with people."""

    n: int
    """Answers that both labelled."""
    agreement: float
    """The share of equal labels."""
    low: float
    high: float
    """The share's exact 95 % interval."""
    kappa: float | None
    """Cohen's kappa: 1 for full agreement, 0 for chance. None where one label is all there is."""
    kappa_low: float | None
    kappa_high: float | None
    """Kappa's large-sample interval; None where its standard error is 0: full agreement, or a rater with one label."""
    confusion: Mapping[tuple[str, str], int]
    """How many answers have this label of the judge and that one of people."""

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that one of them gave."""
        return tuple(dict.fromkeys(label for pair in self.confusion for label in pair))

    @property
    def sentence(self) -> str:
        """The finding with its figures."""
        share = f"{100 * self.agreement:.0f} % ({100 * self.low:.0f} to {100 * self.high:.0f})"
        told = f"agrees with people on {share} of {self.n:,} answers"
        if self.kappa is None:
            return f"{told}; no kappa: one label is all there is"
        if self.kappa_low is None or self.kappa_high is None:
            return f"{told}, kappa {self.kappa:.2f}"
        return f"{told}, kappa {self.kappa:.2f} ({self.kappa_low:.2f} to {self.kappa_high:.2f})"

    def table(self) -> str:
        """The confusion table as text: the judge's labels down, people's across."""
        labels = self.labels
        rows = [["judge \\ people", *labels]]
        rows += [[judge, *(str(self.confusion.get((judge, people), 0)) for people in labels)] for judge in labels]
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def to_json(self) -> dict[str, Any]:
        """As JSON documents have it."""
        names = ("n", "agreement", "low", "high", "kappa", "kappa_low", "kappa_high")
        confusion = [
            {"judge": judge, "people": people, "answers": count} for (judge, people), count in self.confusion.items()
        ]
        return {**{name: getattr(self, name) for name in names}, "confusion": confusion}


def agreement(judge: Sequence[str], people: Sequence[str], *, confidence: float = 0.95) -> Agreement:
    """How far two raters agree.

    Args:
        judge: The judge's label of each answer, length n.
        people: People's label of each, in the same order.
        confidence: The intervals' nominal coverage.

    Raises:
        InputError: There are no answers, or the lengths differ.

    Source: Cohen, 1960, doi:10.1177/001316446002000104; the standard error of kappa: Fleiss, Cohen and Everitt, 1969,
    doi:10.1037/h0028106.
    """
    n = len(judge)
    if n == 0 or n != len(people):
        raise InputError(f"Give two labels for each answer: there are {n} of the judge and {len(people)} of people.")
    confusion = Counter(sorted(zip(judge, people, strict=True)))  # the answers' order has no part in the last digit
    equal = sum(count for (one, other), count in confusion.items() if one == other) / n
    low, high = share_interval(equal, n, confidence=confidence)
    kappa, error = _kappa(confusion, n)
    reach = float(special.ndtri(1 - (1 - confidence) / 2)) * (error or 0.0)
    return Agreement(
        n=n,
        agreement=equal,
        low=low,
        high=high,
        kappa=kappa,
        kappa_low=None if kappa is None or reach < _NO_ERROR else max(-1.0, kappa - reach),
        kappa_high=None if kappa is None or reach < _NO_ERROR else min(1.0, kappa + reach),
        confusion=dict(sorted(confusion.items())),
    )


def _kappa(confusion: Mapping[tuple[str, str], int], n: int) -> tuple[float | None, float | None]:
    """Kappa and its standard error; None where chance alone gives full agreement."""
    rows: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for (one, other), count in confusion.items():
        rows[one] += count
        columns[other] += count
    share = {pair: count / n for pair, count in confusion.items()}
    observed = sum(value for (one, other), value in share.items() if one == other)
    chance = sum(rows[label] * columns[label] for label in rows) / n**2
    if chance >= 1.0:
        return None, None
    kappa = (observed - chance) / (1 - chance)
    diagonal = sum(
        value * ((1 - chance) - (rows[one] + columns[other]) / n * (1 - observed)) ** 2
        for (one, other), value in share.items()
        if one == other
    )
    off = sum(value * ((columns[one] + rows[other]) / n) ** 2 for (one, other), value in share.items() if one != other)
    variance = diagonal + (1 - observed) ** 2 * off - (observed * chance - 2 * chance + observed) ** 2
    return kappa, math.sqrt(max(0.0, variance) / n) / (1 - chance) ** 2
