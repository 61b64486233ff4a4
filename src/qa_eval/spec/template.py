"""Text with fields in braces: `{question}`, `{context}`, any column; `{{name}}` is the text `{name}`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

FIELD = re.compile(r"\{(\{[A-Za-z_][\w .-]*\})\}|\{([A-Za-z_][\w .-]*)\}")
"""A field (group 2), or a field's text written literally, in doubled braces (group 1). Nothing else is special."""


def fill(text: str, value: Callable[[str], str]) -> str:
    """The text with its fields filled in, in one pass, so that a value that holds `{question}` stays as it is."""
    return FIELD.sub(lambda match: match[1] or value(match[2]), text)


def fields_of(text: str) -> Iterator[str]:
    """The names of the fields in a text."""
    return (match[2] for match in FIELD.finditer(text) if match[2])


def as_text(value: Any) -> str:
    """A value of a column as text: JSON where it is not text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
