"""From a cell to what an example holds: text, references, contexts, metadata.

Cells are JSON values (JSON, Parquet, the hub, Phoenix) or text (CSV). A cell that cannot be used raises `Problem`;
whoever knows the place makes it a sentence.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

_LIST_HELP = 'write a JSON list such as ["Paris", "City of Paris"]'
_STRUCT = re.compile(r"\{\s*['\"](?:text|answer_start)['\"]\s*:")


class Problem(ValueError):
    """What is wrong with a cell or a row, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


class References(NamedTuple):
    """The accepted answers of a cell."""

    texts: tuple[str, ...]
    squad: bool = False
    """The cell has the form of the hub's SQuAD, in which no answer means unanswerable."""


def text_of(value: Any, role: str) -> str:
    """A cell as text; nothing is the empty text.

    Raises:
        Problem: It is a list or an object.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    plain_value = plain(value)
    if isinstance(plain_value, str):
        return plain_value
    kind = "a list" if isinstance(plain_value, list) else "an object"
    raise Problem(f"the {role} is {kind}", "give text")


def references_of(value: Any, *, textual: bool) -> References:
    """The references in one cell: none, one, or a list of them.

    Args:
        value: The cell.
        textual: Whether the table holds only text, so that a list is written in JSON.

    Raises:
        Problem: It has another form.
    """
    if isinstance(value, str):
        if not textual or value[:1] not in ("[", "{"):
            return References((value,) if value and not value.isspace() else ())
        value = _parsed(value)
    if isinstance(value, Mapping):
        return References(_squad_answers(value), squad=True)
    if isinstance(value, list | tuple):
        texts = [text_of(each["text"] if _is_answer(each) else each, "reference") for each in value]
    else:
        texts = [text_of(value, "reference")]
    return References(tuple(text for text in texts if text and not text.isspace()))


def context_of(value: Any, *, textual: bool) -> str:
    """The context of one cell; several documents are joined by an empty line.

    Raises:
        Problem: It has another form.
    """
    if isinstance(value, str):
        documents = _text_list(value) if textual and value[:1] == "[" else None
        return "\n\n".join(documents) if documents is not None else value if value and not value.isspace() else ""
    if isinstance(value, list | tuple):
        return "\n\n".join(text for each in value if (text := text_of(each, "document in the context")).strip())
    return text_of(value, "context")


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dates as ISO text, bytes as text, NaN as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.hex()
    return str(value)


def _number(value: float) -> str:
    """None for NaN; without the `.0` that tables give to whole numbers beside empty cells."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _parsed(cell: str) -> Any:
    """The JSON (or Python) list or SQuAD object that a cell of text holds; or the text, as a list."""
    text = cell.strip()
    whole = (text[0], text[-1]) in (("[", "]"), ("{", "}"))
    try:
        found = json.loads(text) if whole else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) or (isinstance(found, dict) and "text" in found):
        return found
    if whole and text[0] == "[":
        return _python_list(text)
    if _STRUCT.match(text):
        raise Problem("the references look like an object but are not JSON", _LIST_HELP)
    return [cell]


def _python_list(text: str) -> list[Any]:
    """What `str` makes of a list of texts, as pandas writes it into a CSV file."""
    try:
        node = ast.parse(text, mode="eval").body
        # ast joins neighbouring texts ("['a' 'b']", as numpy writes arrays): one text would come of two.
        found = ast.literal_eval(node)
        joined = re.search(r"['\"]\s+['\"]", text) is not None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise Problem("the references begin with [ but are not a JSON list", _LIST_HELP) from None
    if joined or not isinstance(found, list):
        raise Problem("the references begin with [ but are not a JSON list", _LIST_HELP)
    return found


def _text_list(cell: str) -> list[str] | None:
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(found, list) and all(isinstance(each, str) for each in found)
    return [each for each in found if each.strip()] if is_list else None


def _is_answer(value: Any) -> bool:
    return isinstance(value, Mapping) and "text" in value


def _squad_answers(value: Mapping[str, Any]) -> tuple[str, ...]:
    if "text" not in value:
        raise Problem("the references are an object without `text`", _LIST_HELP)
    texts = value["text"]
    return tuple(text_of(each, "reference") for each in (texts if isinstance(texts, list | tuple) else [texts]))
