"""Rows as Phoenix keeps them, `{input: {...}, output: {...}, metadata: {...}}`, as flat rows.

The keys of the three become columns; a key that is taken already gets its part's name before it (`output.text`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qa_eval.data.columns import USUAL

SECTIONS = ("input", "output", "metadata")
_ROLES = {"input": "question", "output": "references"}


def is_nested(row: Mapping[str, Any]) -> bool:
    """Whether the row has an input or an output of its own keys."""
    return isinstance(row.get("input"), Mapping) or isinstance(row.get("output"), Mapping)


def flatten(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with the keys of its parts as columns; a flat row as it is."""
    return {name: value for name, _, _, value in _cells(row)} if is_nested(row) else row


class Layout:
    """The columns of a table whose rows may each have other keys."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._sections: dict[str, dict[str, str]] = {"input": {}, "output": {}}

    def add(self, row: Mapping[str, Any]) -> None:
        """Take a row's keys into account."""
        if not is_nested(row):
            self._names.update(dict.fromkeys(row))
            return
        for name, section, key, _ in _cells(row):
            self._names[name] = None
            if section in self._sections:
                self._sections[section][key] = name

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in the order of their first appearance."""
        return tuple(self._names)

    @property
    def hints(self) -> dict[str, str]:
        """The question among the keys of `input`, the references among those of `output`; a single key is it."""
        hints = {}
        for section, keys in self._sections.items():
            by_name = {key.casefold(): name for key, name in reversed(keys.items())}
            role = _ROLES[section]
            usual = [by_name[name] for name in USUAL[role] if name in by_name]
            if usual or len(keys) == 1:
                hints[role] = usual[0] if usual else next(iter(keys.values()))
        return hints


def _cells(row: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str, Any]]:
    """Each cell with its column, part and key."""
    parts = {section: row[section] for section in SECTIONS if isinstance(row.get(section), Mapping)}
    taken = row.keys() - parts.keys()
    for key, value in row.items():
        if key not in parts:
            yield key, None, key, value
    for section, cells in parts.items():
        for key, value in cells.items():
            name = f"{section}.{key}" if key in taken else key
            taken |= {name}
            yield name, section, key, value
