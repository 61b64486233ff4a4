"""The command in a process of its own, which a test may kill."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fake_gateway import KEY

from qa_eval.data import Dataset

COMMAND = [sys.executable, "-m", "qa_eval.cli.main"]


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
