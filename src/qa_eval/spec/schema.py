"""The JSON Schema of a specification's file, for editors; `qa-eval.schema.json` beside this file is the same text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qa_eval.spec.model import ExperimentSpec

FILE_NAME = "qa-eval.schema.json"


def json_schema() -> dict[str, Any]:
    """The schema of what a file may hold, shorthands included."""
    schema = ExperimentSpec.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "qa-eval specification"}


def schema_text() -> str:
    """The schema as the package ships it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def packaged_schema() -> Path:
    """Where the package has it."""
    return Path(__file__).with_name(FILE_NAME)
