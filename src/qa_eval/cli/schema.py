"""`qa-eval schema`: the JSON Schema of a specification's file."""

from __future__ import annotations

import sys


def command() -> None:
    """Print the JSON Schema of a specification's file, for an editor."""
    from qa_eval.spec.schema import packaged_schema

    sys.stdout.write(packaged_schema().read_text(encoding="utf-8"))
