"""The console of the commands' answers, on standard output, and sentences that break between words."""

from __future__ import annotations

import os
import sys
from textwrap import wrap
from typing import TYPE_CHECKING

from qa_eval.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

NO_BREAK = "\u00a0"
PIPE_WIDTH = 100
"""The width of tables in a pipe or a file."""


def confirm(question: str) -> None:
    """Ask before something is lost or paid for; anything but yes ends the command.

    Raises:
        InputError: `--quiet` leaves no place to ask.
    """
    import typer

    if getattr(sys.stderr, "name", "") == os.devnull:
        raise InputError(f"--quiet cannot ask ({question}): confirm with --yes.")
    typer.confirm(question, abort=True, err=True)


def output_console() -> Console:
    """As wide as the terminal; without one, always the same width and no colours."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(highlight=False, width=PIPE_WIDTH)


def print_text(console: Console, text: str, *, indent: int = 0, hanging: int = 0, style: str = "") -> None:
    """Print a sentence: broken between words in a terminal, one line elsewhere.

    Paths and URLs are never broken, so that they can be copied; no-break spaces become plain ones.

    Args:
        console: Where to print.
        text: The sentence.
        indent: Spaces before each line.
        hanging: More spaces before every line but the first.
        style: Of the whole text.
    """
    from rich.text import Text

    if not console.is_terminal:
        console.print(Text(" " * indent + text.replace(NO_BREAK, " "), style), soft_wrap=True)
        return
    first, others = " " * indent, " " * (indent + hanging)
    lines = wrap(
        text,
        max(console.width, indent + hanging + 20),
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        console.print(Text(line.replace(NO_BREAK, " "), style), soft_wrap=True)


def plain_table(console: Console, title: Text | None = None, *, gap: int = 2, header: bool = True) -> Table:
    """A table with a line below its header, and no other.

    Args:
        console: Where it is printed: in ASCII where that is all that it can show.
        title: Above it.
        gap: Spaces between columns; at least 1.
        header: Whether it has one.
    """
    from rich.box import SIMPLE_HEAD, Box
    from rich.table import Table

    dashes = Box(str(SIMPLE_HEAD).replace("─", "-"), ascii=True)
    return Table(
        title=title,
        title_justify="left",
        box=dashes if console.options.ascii_only else SIMPLE_HEAD,
        show_edge=False,
        show_header=header,
        pad_edge=False,
        padding=(0, gap - 1, 0, 0),  # the box adds one
    )


def at_hyphens(text: str, width: int) -> str:
    """A name as lines of at most this width, broken after hyphens and spaces where there are any."""
    return "\n".join(wrap(text, max(1, width))) or text
