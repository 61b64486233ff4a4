"""JSON Lines: one object a line, each a question. The lines may have different keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qa_eval.data.nested import Layout, flatten
from qa_eval.data.rows import Row, Table, rows_to_source
from qa_eval.data.sources.base import Request, Source, files, pick, reading, source_name
from qa_eval.errors import DatasetError


def open_json_lines(request: Request) -> Source:
    """A JSON Lines file; read once for its columns, since any line may have one more."""
    path = request.path
    layout = Layout()
    for _, row in _objects(path):
        layout.add(row)
    if not layout.names:
        raise DatasetError(f"{path} is empty: give one JSON object for each question, a line each.")
    table = Table(
        label=str(path),
        stem=path.stem,
        unit="line",
        names=layout.names,
        rows=lambda positions: ((place, flatten(row)) for place, row in pick(_objects(path), positions)),
        hints=layout.hints,
        source_name=source_name(path),
    )
    return rows_to_source(table, request.columns)


def _objects(path: Path) -> Iterator[tuple[int, Row]]:
    with reading(path), path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _object(path, number, line)


def _object(path: Path, number: int, line: str) -> Row:
    try:
        found: Any = json.loads(line)
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise DatasetError(f"{path} is broken at line {number} ({reason}): give one JSON object a line.") from None
    except RecursionError:
        raise DatasetError(f"{path} is broken at line {number} (nested too deeply): make it flatter.") from None
    if not isinstance(found, dict):
        raise DatasetError(
            f"{path} is broken at line {number} (it is not an object): give one JSON object a line; a list of them "
            "goes in a .json file."
        )
    return found


KIND = files(open_json_lines, ".jsonl", ".ndjson")
