"""Examples as the records that Phoenix stores, and back without loss."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qa_eval.data.examples import Example, SquadVersion
from qa_eval.data.values import plain

_OURS = ("group", "references")
_VERSION = re.compile(r"SQuAD v(1\.1|2\.0)$")


def to_phoenix(example: Example) -> dict[str, Any]:
    """One example as Phoenix stores it: input, expected output, metadata, split by difficulty where there is one."""
    difficulty = example.metadata.get("difficulty")
    return {
        "id": example.id,
        "input": {"question": example.question} | ({"context": example.context} if example.context else {}),
        "output": {"answer": example.references[0]} if example.references else {},
        "metadata": {
            **{_escaped(name): plain(value) for name, value in example.metadata.items()},
            "group": example.group,
            "references": list(example.references),
        },
        "splits": [difficulty] if difficulty and isinstance(difficulty, str) else [],
    }


def is_ours(record: Mapping[str, Any]) -> bool:
    """Whether a record has the form that `to_phoenix`, or an earlier version of it, gives."""
    metadata = record["metadata"]
    return (
        isinstance(metadata.get("references"), list)
        and isinstance(metadata.get("group", metadata.get("title")), str)
        and "question" in record["input"]
        and record["input"].keys() <= {"question", "context"}
        and record["output"].keys() <= {"answer"}
    )


def from_phoenix(record: Mapping[str, Any]) -> Example:
    """The example that a record of ours was made from."""
    metadata = record["metadata"]
    group = "group" if "group" in metadata else "title"  # as earlier versions called it
    return Example(
        id=str(record["id"]),
        question=record["input"]["question"],
        context=record["input"].get("context", ""),
        references=tuple(metadata["references"]),
        group=metadata[group],
        metadata={_plain_name(k): v for k, v in metadata.items() if k not in ("references", group)},
    )


def version_of(description: str) -> SquadVersion:
    """The version that a dataset of ours says in its description."""
    found = _VERSION.search(description)
    return "2.0" if found is not None and found[1] == "2.0" else "1.1"


def _escaped(name: str) -> str:
    """A column's name that is not one of ours: `group` becomes `group_`, `group_` becomes `group__`."""
    return f"{name}_" if name.rstrip("_") in _OURS else name


def _plain_name(name: str) -> str:
    return name[:-1] if name.endswith("_") and name.rstrip("_") in _OURS else name
