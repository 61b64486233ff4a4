"""From the rows of a table to examples.

In: a `Table` (its columns and its rows, from whatever file or server) and the user's `ColumnsSpec`. Out: a `Source`.
A row without an id gets one from its content, so that the same row has the same id on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from qa_eval.data.columns import Roles, find_roles
from qa_eval.data.difficulty import derive_difficulty
from qa_eval.data.examples import PhoenixOrigin
from qa_eval.data.identity import content_text, digest
from qa_eval.data.sources.base import Draft, Found, Source
from qa_eval.data.values import Problem, References, context_of, plain, references_of, text_of
from qa_eval.errors import DatasetError
from qa_eval.spec.model import ColumnsSpec

ID_DIGITS = 16
"""Hexadecimal digits of an id that comes from the content."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows under named columns, which can be read more than once."""

    label: str
    """How messages name it."""
    stem: str
    """Its own name, from which the dataset's name in Phoenix is made."""
    unit: str
    """What the rows' places count: `line`, `row`, ..."""
    names: tuple[str, ...]
    rows: Callable[[Sequence[int] | None], Iterator[tuple[int, Row]]]
    """Each row, or those at some ascending positions, with its place."""
    hints: Mapping[str, str] = field(default_factory=dict)
    """Columns by role that the table's form makes likely."""
    textual: bool = False
    """Whether all cells are text, so that lists are written in JSON."""
    source_name: str | None = None
    """`source` in the metadata of rows in the form of the hub's SQuAD; None: the label."""
    notes: tuple[str, ...] = ()
    origin: PhoenixOrigin | None = None


def rows_to_source(table: Table, columns: ColumnsSpec | None, *, describe: bool = True) -> Source:
    """A table as a source of examples.

    Args:
        table: Where the rows come from.
        columns: What the user says about the columns.
        describe: Whether a note says what was taken for what.

    Raises:
        DatasetError: No column can be the question, or one that the user names does not exist.
    """
    roles = find_roles(table.label, table.names, columns, table.hints)
    notes = (roles.describe(table.label),) if describe else ()
    reader = _Reader(table, roles)
    return Source(
        label=table.label,
        stem=table.stem,
        read=reader.read,
        unit=table.unit,
        notes=(*table.notes, *notes),
        origin=table.origin,
    )


@dataclass(frozen=True)
class _Reader:
    table: Table
    roles: Roles

    def read(self, positions: Sequence[int] | None = None) -> Iterator[Found]:
        """What is in all rows, or in those at some positions."""
        for place, row in self.table.rows(positions):
            try:
                yield self._found(place, row)
            except Problem as problem:
                self._refuse(place, problem.what, problem.remedy)
            except UnicodeEncodeError:
                self._refuse(place, "half of a surrogate pair stands alone", "correct the text")
            except RecursionError:
                self._refuse(place, "its values are nested too deeply", "make them flatter")

    def _found(self, place: int, row: Row) -> Found:
        roles, textual = self.roles, self.table.textual
        question = text_of(row.get(roles.question), "question")
        if not question or question.isspace():
            raise Problem("the question is blank", f"write one there, or remove the {self.table.unit}")
        context = context_of(row.get(roles.context), textual=textual) if roles.context else ""
        references = self._references(row)
        group = text_of(row.get(roles.group), "group").strip() if roles.group else ""
        metadata = self._metadata(row)
        if references.squad:
            difficulty = derive_difficulty(question, context, references.texts)
            metadata = {"difficulty": difficulty, "source": self.table.source_name or self.table.label} | metadata
        text = content_text(question, context, references.texts, group, metadata)
        if "\\u0000" in text:
            _check_escapes(text)
        content = digest(text, "strict")
        identifier = self._id(row, roles.id) if roles.id else content.hex()[:ID_DIGITS]
        draft = Draft(identifier, question, context, references.texts, group, metadata)
        return Found(place, draft, content, references.squad and not references.texts)

    def _references(self, row: Row) -> References:
        columns, textual = self.roles.references, self.table.textual
        if len(columns) == 1:
            return references_of(row.get(columns[0]), textual=textual)
        cells = [references_of(row.get(column), textual=textual) for column in columns]
        return References(tuple(text for cell in cells for text in cell.texts), any(cell.squad for cell in cells))

    def _metadata(self, row: Row) -> dict[str, Any]:
        if self.table.textual:
            return {name: row[name] for name in self.roles.metadata}
        return {name: plain(row[name]) for name in self.roles.metadata if name in row}

    def _id(self, row: Row, column: str) -> str:
        identifier = text_of(row.get(column), "id").strip()
        if not identifier:
            raise Problem("the id is blank", "write one there, or leave the column out")
        if "\x00" in identifier:
            raise _NUL
        identifier.encode()
        return identifier

    def _refuse(self, place: int, what: str, remedy: str) -> NoReturn:
        table = self.table
        raise DatasetError(f"{table.label} is broken at {table.unit} {place} ({what}): {remedy}.") from None


_NUL = Problem("it holds a NUL character", "remove the character")


def _check_escapes(text: str) -> None:
    """Refuse NUL, which databases cannot hold; in canonical JSON it is an escape, and a backslash is two of them."""
    if "\\u0000" in text.replace("\\\\", ""):
        raise _NUL
