"""Predictions files in the official format: one JSON object, an answer's text by question id."""

from __future__ import annotations

import json
from pathlib import Path

from qa_eval.errors import InputError


def read_predictions(path: str | Path) -> dict[str, str]:
    """Read a predictions file.

    Raises:
        InputError: The file is missing, not JSON, or not an object of texts; the first broken entry is named.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"The predictions file {path} cannot be read ({error.strerror}): check the path.") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): give predictions as {{id: text}}.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a predictions file: give one JSON object, {{id: text}}.")
    for identifier, text in content.items():
        if not isinstance(text, str):
            raise InputError(f"The prediction for {identifier!r} in {path} is not a text: give {{id: text}}.")
    return content
