"""The command: in this process, or in a process of its own, which a test may kill."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from fake_gateway import KEY

from qa_eval.cli.main import main
from qa_eval.data import Dataset

COMMAND = [sys.executable, "-m", "qa_eval.cli.main"]


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def qa_eval(*arguments: object, folder: Path | None = None, typed: str = "", **environment: str) -> Done:
    """Run the command as it is typed, in this process: another one would spend two seconds on imports.

    Args:
        arguments: What follows `qa-eval`.
        folder: The folder in which it is run.
        typed: Standard input.
        environment: Environment variables; without COLUMNS a terminal of 80 columns.
    """
    given, out, err = io.StringIO(typed), *(io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "oe")
    code = 0
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "80", **environment}),
        mock.patch.multiple(sys, argv=["qa-eval", *map(str, arguments)], stdin=given, stdout=out, stderr=err),
        contextlib.chdir(folder or "."),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


def environment() -> dict[str, str]:
    return {**os.environ, "QA_EVAL_GATEWAY_KEY": KEY}


def as_file(data: Dataset, folder: Path) -> Path:
    path = folder / f"{data.name}.jsonl"
    rows = [
        {
            "id": e.id,
            "title": e.group,
            "context": e.context,
            "question": e.question,
            "answers": {"text": list(e.references), "answer_start": [e.context.index(e.references[0])]},
        }
        for e in data
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
