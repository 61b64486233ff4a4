"""A comparison as rows of cells, and as Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from qa_eval.analysis.differences import Changed, Difference
from qa_eval.analysis.measures import Unit
from qa_eval.analysis.observations import Observation

HEADER = ("candidate", "measure", "baseline", "candidate's", "difference", "95 % interval", "p (Holm)")
CHANGED_HEADER = ("candidate", "change", "question", "references", "baseline's answer", "candidate's answer")


def difference_row(found: Difference) -> tuple[str, ...]:
    """A difference as a line below `HEADER`."""
    measure, estimate = found.measure, found.estimate
    without = "0 (no question differs)" if found.same else f"none: {estimate.limit}"
    return (
        found.candidate,
        measure.title,
        measure.number(found.before.estimate),
        measure.number(found.after.estimate),
        measure.number(estimate.estimate, sign=True),
        interval_text(found) or without,
        "" if found.p_value is None else f"{found.p_value:.2g}",
    )


def interval_text(found: Difference, between: str = " … ") -> str:
    """The interval's two ends, with the unit once where it stands behind the number; empty where there is none."""
    measure, low, high = found.measure, found.estimate.low, found.estimate.high
    if low is None or high is None:
        return ""
    first, last = measure.number(low, sign=True), measure.number(high, sign=True)
    if measure.unit is Unit.SECONDS:
        first = first.removesuffix(f" {measure.unit.value}")
    return f"{first}{between}{last}"


def changed_row(changed: Changed) -> tuple[str, ...]:
    """A changed question as a line below `CHANGED_HEADER`."""
    return (
        changed.candidate,
        f"{100 * changed.change:+.0f}",
        changed.question.text.strip() or changed.question.id,
        " | ".join(dict.fromkeys(changed.question.references)) or "(unanswerable)",
        shown_answer(changed.before),
        shown_answer(changed.after),
    )


def shown_answer(observation: Observation) -> str:
    """The first answer's text, or what became of it in brackets."""
    first = observation.answers[0]
    return first.text if first.outcome.is_answer and first.text else f"[{first.outcome}]"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return lines + [f"| {' | '.join(map(escaped, row))} |" for row in rows]


def escaped(text: str) -> str:
    """A text that Markdown, and the HTML within it, shows as it is: answers are not ours."""
    for mark in "\\`*_[]|~#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(html.escape(text, quote=False).split()).replace("@", "@\u200b")


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose columns are aligned to the left."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a notebook."""
    return f"<table>{_html_row(header, 'th')}{''.join(_html_row(row, 'td') for row in rows)}</table>"


def _html_row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
