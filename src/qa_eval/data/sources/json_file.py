"""JSON files: a list of objects, each a question; or SQuAD in its official form, an object with `data`."""

from __future__ import annotations

import json
from typing import Any

from qa_eval.data.nested import Layout, flatten
from qa_eval.data.rows import Table, rows_to_source
from qa_eval.data.sources.base import Request, Source, files, pick, reading, source_name
from qa_eval.data.sources.squad import open_squad
from qa_eval.errors import DatasetError


def open_json(request: Request) -> Source:
    """A JSON file of either form."""
    path = request.path
    with reading(path):
        raw = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        raw.decode()
    if not raw.strip():
        raise DatasetError(f"{path} is empty: give a JSON list of objects, or a SQuAD file.")
    return _open_list(request, raw) if raw.lstrip().startswith(b"[") else open_squad(request, raw)


def _open_list(request: Request, raw: bytes) -> Source:
    path = request.path
    elements = _elements(request, raw)
    layout = Layout()
    for element in elements:
        layout.add(element)
    if not layout.names:
        raise DatasetError(f"{path} holds no questions: give a file with at least one.")
    rows = [(place, flatten(element)) for place, element in enumerate(elements, start=1)]
    table = Table(
        label=str(path),
        stem=path.stem,
        unit="element",
        names=layout.names,
        rows=lambda positions: pick(iter(rows), positions),
        hints=layout.hints,
        source_name=source_name(path),
    )
    return rows_to_source(table, request.columns)


def _elements(request: Request, raw: bytes) -> list[dict[str, Any]]:
    path = request.path
    try:
        found = json.loads(raw)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path} is not JSON (line {error.lineno}: {error.msg}): correct it there.") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(f"{path} is not JSON ({reason}): give a list of objects.") from None
    for place, element in enumerate(found, start=1):
        if not isinstance(element, dict):
            raise DatasetError(
                f"{path} is broken at element {place} (it is not an object): give a list of objects, a question each."
            )
    return list(found)


KIND = files(open_json, ".json")
