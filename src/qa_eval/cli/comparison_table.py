"""A comparison in a terminal: verdicts, a table a candidate, what changed most. Fits in 80 columns and in fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from qa_eval.analysis.tables import changed_row, interval_text
from qa_eval.cli.console import NO_BREAK, plain_table, print_text
from qa_eval.cli.interval_bars import interval_bar, scales

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from qa_eval.analysis.comparison import Comparison
    from qa_eval.analysis.differences import Changed, Difference

HEADER = ("measure", "baseline", "candidate", "difference", "95 % interval", "p")
TITLE_WIDTHS = (13, 16, 24)
"""The column of measures is as wide as its longest title, up to the last; where there is less room, as its longest
word, between the first and the second."""
BAR_WIDTHS = (7, 15)
"""The narrowest and the widest bar, in characters."""
NARROW = 60
"""A terminal below this width has no bars."""
LONGEST_ANSWER = 300
"""So many characters of an answer are shown; `--json` and the report have the whole."""


def print_comparison(console: Console, comparison: Comparison, *, with_changed: bool = True) -> None:
    """Print the verdicts, each candidate's differences, and the questions that changed most.

    Args:
        console: Where to print; its width decides the layout.
        comparison: What is printed.
        with_changed: Whether the questions that changed most are printed too.
    """
    for sentence in comparison.verdicts:
        print_text(console, sentence, style="bold")
    print_text(console, f"{comparison.describe_questions()}.")
    print_text(console, f"Baseline: {comparison.baseline.name}")
    shown = [found for found in comparison.differences if not found.same]
    layout = _layout(console, shown)
    for candidate in comparison.candidates:
        console.print()
        print_text(console, f"Candidate: {candidate.name}", style="bold")
        _print_differences(console, comparison.of(candidate.name), shown, layout)
    console.print()
    _print_legend(console, comparison, bars=layout is not None and layout.bar > 0)
    for note in comparison.notes:
        print_text(console, note)
    if with_changed:
        _print_changed(console, comparison)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The widths of a table that fits."""

    gap: int
    """Between columns."""
    title: int
    """Of the column of measures."""
    bar: int
    """0 where there is no room for bars."""


def _layout(console: Console, differences: Sequence[Difference]) -> _Layout | None:
    """The most generous layout that fits, with bars rather than with wide gaps; None where no table fits."""
    rows = [HEADER, *(_cells(found, ascii_only=_ascii(console)) for found in differences)]
    figures = [max(len(row[place]) for row in rows) for place in range(1, len(HEADER))]
    titles = [row[0] for row in rows]
    longest_word = max(len(word) for title in titles for word in title.split())
    full = min(TITLE_WIDTHS[2], max(map(len, titles)))
    narrow = min(full, max(TITLE_WIDTHS[0], min(TITLE_WIDTHS[1], longest_word)))
    choices = [(gap, title) for gap in (2, 1) for title in (full, narrow)]
    rooms = [(gap, title, console.width - title - sum(figures) - gap * len(figures)) for gap, title in choices]
    if console.width >= NARROW:
        for gap, title, room in rooms:
            if room - gap >= BAR_WIDTHS[0]:
                widest = min(BAR_WIDTHS[1], room - gap)
                return _Layout(gap, title, widest - (widest + 1) % 2)
    return next((_Layout(gap, title, 0) for gap, title, room in rooms if room >= 0), None)


def _print_differences(
    console: Console, differences: Sequence[Difference], all_shown: Sequence[Difference], layout: _Layout | None
) -> None:
    """One candidate's rows, then in a line each what does not differ and what has no interval."""
    shown = [found for found in differences if not found.same]
    if layout is None:
        for found in shown:
            print_text(console, _line(found, ascii_only=_ascii(console)), indent=2, hanging=4)
    elif shown:
        console.print(_table(console, shown, scales(all_shown), layout))
    if same := [found.measure.title for found in differences if found.same]:
        print_text(console, f"No question differs in: {', '.join(same)}.")
    if layout is not None:
        limits: dict[str, list[str]] = {}
        for found in shown:
            if found.estimate.low is None:
                limits.setdefault(str(found.estimate.limit), []).append(found.measure.title)
        for limit, titles in limits.items():
            print_text(console, f"No interval for {', '.join(titles)}: {limit}.")


def _table(console: Console, differences: Sequence[Difference], reach: dict[str, float], layout: _Layout) -> Table:
    ascii_only = _ascii(console)
    table = plain_table(console, gap=layout.gap)
    table.add_column(HEADER[0], width=layout.title, overflow="fold")
    for name in HEADER[1:-1]:
        table.add_column(name, justify="right", no_wrap=True)
    if layout.bar:
        table.add_column(Text("0".center(layout.bar).rstrip()), width=layout.bar, no_wrap=True)
    table.add_column(HEADER[-1], justify="right", no_wrap=True)
    for found in differences:
        style = ("green" if found.better else "red") if found.shown else ""
        title, before, after, change, interval, p_value = _cells(found, ascii_only=ascii_only)
        bar = interval_bar(found, reach, layout.bar, ascii_only=ascii_only) if layout.bar else ""
        bars = [Text(bar, style)] if layout.bar else []
        table.add_row(*map(Text, (title, before, after)), Text(change, style), Text(interval), *bars, Text(p_value))
    return table


def _cells(found: Difference, *, ascii_only: bool) -> tuple[str, ...]:
    """A difference below `HEADER`."""
    number = found.measure.number
    return (
        found.measure.title,
        number(found.before.estimate),
        number(found.after.estimate),
        number(found.estimate.estimate, sign=True),
        interval_text(found, " to " if ascii_only else " … ") or "none",
        "" if found.p_value is None else f"{found.p_value:.2g}",
    )


def _line(found: Difference, *, ascii_only: bool) -> str:
    """A difference where there is no room for a table."""
    title, before, after, change, interval, p_value = _cells(found, ascii_only=ascii_only)
    if found.estimate.low is None:
        interval = f"no interval: {found.estimate.limit}"
    arrow = "->" if ascii_only else "→"
    parts = [f"{before} {arrow} {after}", f"{change} ({interval})", *([f"p {p_value}"] if p_value else [])]
    return f"{title}: " + ", ".join(part.replace(" ", NO_BREAK) for part in parts)


def _print_legend(console: Console, comparison: Comparison, *, bars: bool) -> None:
    """What the figures are."""
    tested = list(dict.fromkeys(found.measure.title for found in comparison.differences if found.tested))
    claims = sum(found.tested for found in comparison.differences)
    corrected = f"; p is corrected for {claims} comparisons (Holm)" if claims > 1 else ""
    drawn = " The bar shows the interval around 0, on one scale for each unit." if bars else ""
    print_text(
        console,
        f"Metrics of 0 to 1 and shares are multiplied by 100.{drawn} "
        f"Tested: {', '.join(tested) or 'nothing'}{corrected}.",
    )


def _print_changed(console: Console, comparison: Comparison) -> None:
    """The questions that changed most; with several candidates, below each one's name."""
    several = len(comparison.candidates) > 1
    for candidate in comparison.candidates:
        changed = [each for each in comparison.changed if each.candidate == candidate.name]
        if changed:
            console.print()
            whose = f" of {candidate.name}" if several else ""
            print_text(console, f"The questions that changed most{whose}:")
            console.print(_changed_table(console, changed))


def _changed_table(console: Console, changed: Sequence[Changed]) -> Table:
    table = plain_table(console, header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in changed:
        _, change, question, references, before, after = changed_row(each)
        lines = (("question", question), ("reference", references), ("baseline", before), ("candidate", after))
        for place, (name, text) in enumerate(lines):
            table.add_row("" if place else change, name, Text(_shortened(text)))
    return table


def _shortened(text: str) -> str:
    """A text in one paragraph that does not fill the screen."""
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_ANSWER else f"{words[:LONGEST_ANSWER].rstrip()} ..."


def _ascii(console: Console) -> bool:
    return console.options.ascii_only
