"""Exported files: one row an answer, as `RunResult.to_pandas` has them; those of older versions too."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qa_eval.analysis.observations import (
    Observations,
    ObservedAnswer,
    Question,
    ScoredAnswer,
    gather,
    known_definitions,
)
from qa_eval.errors import InputError
from qa_eval.metrics.custom import TAKEN
from qa_eval.targets.outcome import Outcome

EXPORTS = (".jsonl", ".csv", ".parquet")
_OLD_COLUMNS = {"title", "difficulty", "source"}
"""Columns of older versions."""


def read_export(path: Path) -> list[Observations]:
    """The systems of an exported file, one row an answer, as `RunResult.to_pandas` has them.

    Raises:
        InputError: The file cannot be read, or lacks a column.
    """
    rows = _rows(path)
    columns = set(rows[0] if rows else ())
    # Exports of older versions have models and titles in place of systems and groups.
    name = "system" if "system" in columns else "model"
    missing = {"example_id", "answer", "outcome", name} - columns
    missing |= {"group"} - {"group" if "title" in columns else ""} - columns
    if missing:
        raise InputError(
            f"{path} is not an export of a run: it lacks {', '.join(sorted(missing))}; "
            "`qa-eval runs export` writes one."
        )
    metrics = _metrics(rows)
    systems: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, row in enumerate(rows, 1):
        systems.setdefault(str(row[name]), []).append((number, row))
    return [
        gather(
            system,
            (_of_row(path, number, row, metrics) for number, row in numbered),
            config=_config(path, [row for _, row in numbered]),
            definitions=known_definitions(metrics),
        )
        for system, numbered in systems.items()
    ]


def _config(path: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the rows of one system say of how its answers were made."""
    config = {"export": path.name}
    for name in ("model", "run"):
        if values := dict.fromkeys(str(row[name]) for row in rows if row.get(name)):
            config[name] = ", ".join(values)
    return config


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        if path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8").split("\n")  # answers may hold other line ends
            return [json.loads(line) for line in lines if line.strip()]
        import pandas as pd

        table = (
            pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str, keep_default_na=False)
        )
        return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path.") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is not {path.suffix[1:]} ({error}).") from None


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that are metrics: all that are no others, and hold numbers."""
    columns = [name for name in rows[0] if name not in TAKEN | _OLD_COLUMNS and "." not in name] if rows else []
    return [name for name in columns if all(_is_number(row.get(name)) for row in rows)]


def _is_number(value: Any) -> bool:
    """Whether a cell is a number or empty."""
    try:
        _number(value)
    except (ValueError, TypeError):
        return False
    return type(value).__name__ not in ("bool", "bool_")  # a fact, such as `answer_contained` without the metric


def _of_row(path: Path, number: int, row: Mapping[str, Any], metrics: Sequence[str]) -> ScoredAnswer:
    try:
        outcome = Outcome(str(row["outcome"]))
        scores = {name: score for name in metrics if (score := _number(row.get(name))) is not None}
        answer = ObservedAnswer(
            _text(row["answer"]),
            outcome,
            _text(row.get("message")),
            _number(row.get("latency_s")),
            _number(row.get("cost_usd")),
            queued=str(row.get("queued")).lower() == "true",
            first_token_s=_number(row.get("first_token_s")),
        )
    except ValueError as error:
        raise InputError(f"{path}: row {number} is broken ({error}).") from None
    question = Question(
        _text(row["example_id"]),
        _text(row.get("group", row.get("title"))),
        _text(row.get("question")),
        _text(row.get("context")),
        _texts(row.get("references")),
        _metadata(row),
    )
    return ScoredAnswer(question, answer, scores)


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns `metadata.NAME`; an older version had `difficulty` as a column of its own."""
    metadata = {name.removeprefix("metadata."): value for name, value in row.items() if name.startswith("metadata.")}
    if row.get("difficulty"):
        metadata["difficulty"] = str(row["difficulty"])
    return metadata


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    return None if math.isnan(number) else number


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def _texts(value: Any) -> tuple[str, ...]:
    """A list of texts, which a CSV file holds as JSON or as Python writes it."""
    if isinstance(value, str):
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(value)
                break
            except (ValueError, SyntaxError):
                continue
        else:
            return (value,) if value else ()
    return () if value is None else tuple(str(each) for each in value)
