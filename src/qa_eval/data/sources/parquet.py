"""Parquet files, read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qa_eval.data.nested import SECTIONS, Layout, flatten
from qa_eval.data.rows import Row, Table, rows_to_source
from qa_eval.data.sources.base import Request, Source, files, pick, reading, source_name
from qa_eval.errors import DatasetError

BATCH = 1_000


def open_parquet(request: Request) -> Source:
    """A Parquet file."""
    path = request.path
    schema = _schema(path)
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise DatasetError(f"{path} has two columns named {twice!r}: give each a name of its own.")
    layout = layout_of(schema)
    table = Table(
        label=str(path),
        stem=path.stem,
        unit="row",
        names=layout.names,
        rows=lambda positions: pick(_rows(path), positions),
        hints=layout.hints,
        source_name=source_name(path),
    )
    return rows_to_source(table, request.columns)


def layout_of(schema: Any) -> Layout:
    """The columns of an Arrow schema; the fields of `input`, `output` and `metadata` where those are structs."""
    import pyarrow.types

    layout = Layout()
    layout.add(
        {
            column.name: dict.fromkeys(each.name for each in column.type)
            if column.name in SECTIONS and pyarrow.types.is_struct(column.type)
            else None
            for column in schema
        }
    )
    return layout


def _schema(path: Path) -> Any:
    import pyarrow
    import pyarrow.parquet

    try:
        with reading(path):
            path.open("rb").close()
            return pyarrow.parquet.read_schema(path)
    except pyarrow.ArrowException as error:
        raise DatasetError(f"{path} is not a Parquet file ({_reason(error)}): check the file.") from None


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow
    import pyarrow.parquet

    place = 0
    try:
        with reading(path), pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    place += 1
                    yield place, flatten(row)
    except pyarrow.ArrowException as error:
        raise DatasetError(f"{path} is broken after row {place} ({_reason(error)}): write the file again.") from None


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


KIND = files(open_parquet, ".parquet")
