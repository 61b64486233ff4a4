"""CSV and TSV files: a header, then one row for each question.

The delimiter is a comma or, in `.tsv`, a tab; a `.csv` whose header has semicolons and no comma, as spreadsheets write
it in much of Europe, is read with semicolons.
"""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from qa_eval.data.rows import Row, Table, rows_to_source
from qa_eval.data.sources.base import Request, Source, files, pick, reading, source_name
from qa_eval.errors import DatasetError

LONGEST_FIELD = 10_000_000
"""Characters; a longer field is a quote that was never closed."""


def open_delimited(request: Request) -> Source:
    """A CSV or TSV file."""
    path = request.path
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(path)
    with closing(_lines(path, delimiter)) as lines:
        _, header = next(lines, (1, []))
    if not header:
        raise DatasetError(f"{path} is empty: give a header with column names, and a row for each question.")
    names = _names(path, header)
    table = Table(
        label=str(path),
        stem=path.stem,
        unit="line",
        names=names,
        rows=lambda positions: _rows(path, delimiter, names, positions),
        textual=True,
        source_name=source_name(path),
    )
    return rows_to_source(table, request.columns)


def _delimiter(path: Path) -> str:
    with reading(path), path.open(encoding="utf-8-sig") as file:
        header = file.readline(LONGEST_FIELD)
    return ";" if ";" in header and "," not in header else ","


def _names(path: Path, header: list[str]) -> tuple[str, ...]:
    names = tuple(name.strip() or f"column {place}" for place, name in enumerate(header, start=1))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"{path} has two columns named {twice!r} (line 1): give each a name of its own.")
    return names


def _rows(
    path: Path, delimiter: str, names: tuple[str, ...], positions: Sequence[int] | None
) -> Iterator[tuple[int, Row]]:
    width = len(names)
    below_header = None if positions is None else [0, *(position + 1 for position in positions)]
    lines = _lines(path, delimiter, below_header)
    next(lines)
    for place, cells in lines:
        if len(cells) != width:
            raise DatasetError(
                f"{path} is broken at line {place} ({len(cells)} cells under a header of {width}): quote a cell that "
                "holds the delimiter, and give empty cells as well."
            )
        yield place, dict(zip(names, cells, strict=False))


def _lines(path: Path, delimiter: str, positions: Sequence[int] | None = None) -> Generator[tuple[int, list[str]]]:
    """The cells of each line that is not blank, or of some of these, with the line on which they begin."""
    csv.field_size_limit(LONGEST_FIELD)
    with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        begins = 1
        try:
            if positions is not None:
                # They were all checked before: the skipped ones need no more than to be counted.
                yield from ((reader.line_num, cells) for cells in pick(filter(None, reader), positions))
                return
            for cells in reader:
                if cells:
                    yield begins, cells
                begins = reader.line_num + 1
        except csv.Error as error:
            _refuse(path, begins, error)


def _refuse(path: Path, line: int, error: csv.Error) -> NoReturn:
    if "field larger" in str(error) or "unexpected end" in str(error):
        what, remedy = "a cell has no end", "close the quote before it, and double the quotes within a cell"
    else:
        what, remedy = str(error), 'put quotes around the whole cell, and double those within it ("")'
    raise DatasetError(f"{path} is broken at line {line} ({what}): {remedy}.") from None


KIND = files(open_delimited, ".csv", ".tsv")
