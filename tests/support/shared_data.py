"""The real SQuAD files, which are not part of the project: where they are, or a clear word that they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def squad_file(name: str) -> Path:
    """A file of the shared data; skips the test that needs it where there is none."""
    folder = Path(os.environ.get("QA_EVAL_SHARED_DATA") or ROOT.parent / "shared" / "data")
    path = folder / "squad" / name
    if not path.exists():
        pytest.skip(f"the real SQuAD data is not here: {path} (set QA_EVAL_SHARED_DATA)")
    return path
