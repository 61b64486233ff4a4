"""Which column of a table holds what: as the user says, and else by the usual names.

In: the table's column names and the user's `ColumnsSpec`. Out: `Roles`. Names are compared without regard to case; of
several candidates the first in the order below wins, and the others become metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from qa_eval.errors import DatasetError
from qa_eval.spec.model import ColumnsSpec

USUAL: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "question": ("question", "input", "query", "prompt"),
    "context": ("context", "passage", "document", "documents"),
    "references": ("answer", "answers", "references", "expected", "output", "target"),
    "group": ("group", "title", "category", "topic"),
}
"""The usual names, by role."""
_MOST = 12


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns by role; all others are metadata."""

    question: str
    id: str | None = None
    context: str | None = None
    references: tuple[str, ...] = ()
    group: str | None = None
    metadata: tuple[str, ...] = ()

    def describe(self, label: str) -> str:
        """One line that says what was taken for what."""
        taken: dict[str, Sequence[str | None]] = {
            "question": [self.question],
            "context": [self.context],
            "references": self.references,
            "group": [self.group],
            "id": [self.id],
        }
        found = [(role, [column for column in columns if column]) for role, columns in taken.items()]
        parts = [f"{role} from {_list(columns)}" for role, columns in found if columns]
        if self.metadata:
            parts.append(f"metadata: {_list(self.metadata)}")
        return f"Columns of {label}: {'; '.join(parts)}."


_GROUP_ALONE = ("group", "title")
"""Names of a group's column that say no more than that: `title` is SQuAD's article."""


def find_roles(
    label: str, names: Sequence[str], spec: ColumnsSpec | None = None, hints: Mapping[str, str] | None = None
) -> Roles:
    """Decide which column holds what.

    Args:
        label: How messages name the table.
        names: The table's columns, in order.
        spec: What the user says.
        hints: Columns by role that the table's form makes likely; they come before the usual names.

    Raises:
        DatasetError: A named column does not exist, or no column can be the question.
    """
    named = _named(label, names, spec or ColumnsSpec())
    roles = dict(named)
    for role in USUAL:
        taken = {column for columns in roles.values() for column in columns}
        if role not in roles and (found := _usual(role, [name for name in names if name not in taken], hints or {})):
            roles[role] = (found,)
    if "question" not in roles:
        raise DatasetError(
            f"{label} has no column for the question (it has: {_list(names)}): name one with `columns`, for example "
            f"`question={_shown(names[0]) if names else 'q'}`."
        )
    taken = {column for columns in roles.values() for column in columns}
    single = {role: columns[0] for role, columns in roles.items() if role != "references"}
    # The group's column stays usable in prompts and breakdowns under its own name.
    grouped = [name for name in roles.get("group", ()) if "group" in named or name.casefold() not in _GROUP_ALONE]
    metadata = tuple(name for name in names if name not in taken or (name in grouped and name.casefold() != "group"))
    return Roles(**single, references=roles.get("references", ()), metadata=metadata)


def _named(label: str, names: Sequence[str], spec: ColumnsSpec) -> dict[str, tuple[str, ...]]:
    """The columns that the user names."""
    given = {role: value for role in USUAL if (value := getattr(spec, role))}
    roles = {role: (value,) if isinstance(value, str) else tuple(value) for role, value in given.items()}
    missing = next(((role, name) for role, columns in roles.items() for name in columns if name not in names), None)
    if missing is not None:
        role, name = missing
        raise DatasetError(
            f"{label} has no column {name!r}, which `columns` names for the {role}: {_nearest(name, names)}one of "
            f"{_list(names)}."
        )
    return roles


def _nearest(name: str, names: Sequence[str]) -> str:
    by_name = {each.casefold(): each for each in reversed(names)}
    found = get_close_matches(name.casefold(), by_name, n=1)
    return f"give {_shown(by_name[found[0]])}, or another " if found else "give "


def _usual(role: str, names: Sequence[str], hints: Mapping[str, str]) -> str | None:
    if hints.get(role) in names:
        return hints[role]
    by_name = {name.strip().casefold(): name for name in reversed(names)}
    return next((by_name[usual] for usual in USUAL[role] if usual in by_name), None)


def _list(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(map(_shown, names[:_MOST])) + (f" and {more} more" if more > 0 else "") if names else "none"


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)
