"""A validation error as one sentence with its place: a file's key, a flag or a keyword, and what would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from qa_eval.spec import model
from qa_eval.spec.metrics import JudgesSpec, MetricSpec, RubricSpec
from qa_eval.spec.model import ExperimentSpec
from qa_eval.spec.ray import RaySpec, RayStage

_PARTS: Mapping[str, type[BaseModel]] = {
    "": ExperimentSpec,
    "dataset": model.DatasetSpec,
    "dataset.columns": model.ColumnsSpec,
    "systems": model.SystemSpec,
    "systems.prompt": model.PromptSpec,
    "systems.prompt.messages": model.Message,
    "prompts": model.PromptSpec,
    "prompts.messages": model.Message,
    "metrics": MetricSpec,
    "metrics.rubric": RubricSpec,
    "judges": JudgesSpec,
    "limits": model.LimitsSpec,
    "gate": model.GateSpec,
    "recording": model.RecordingSpec,
    "servers": model.ServersSpec,
    "ray": RaySpec,
    "ray.tasks": RayStage,
    "ray.metrics": RayStage,
    "ray.embed": RayStage,
}


def explain(error: ValidationError, keywords: Mapping[str, str], origin: str, root: str = "") -> str:
    """The first error as a sentence.

    Args:
        error: What Pydantic found.
        keywords: The keywords of the settings that were given, by their paths.
        origin: The file; empty where there is none.
        root: The part of the specification that was read; empty for the whole.
    """
    errors = error.errors(include_url=False)
    # A misspelled key is also a missing one: the key itself says more.
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    path = tuple(first["loc"])
    keyword = _keyword(path, keywords)
    place = keyword or _written(path)
    start = f"{origin}: " if origin and keyword is None else ""
    if first["type"] == "extra_forbidden":
        return f"{start}{_unknown_key(path, root)}"
    what = _plain(first)
    shown = _shown(first)
    if not place:
        return f"{start}{'it' if root else 'the specification'} {what}{shown}."
    return f"{start}`{place}` {what}{shown}."


def _keyword(path: Sequence[Any], keywords: Mapping[str, str]) -> str | None:
    """The keyword that gave the value at a path, or at a path that leads to it."""
    names = [str(part) for part in path if not isinstance(part, int)]
    for length in range(len(names), 0, -1):
        if (found := keywords.get(".".join(names[:length]))) is not None:
            return found
    return None


def _written(path: Sequence[Any]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _unknown_key(path: Sequence[Any], root: str) -> str:
    *parents, key = path
    part = _PARTS.get(".".join([root] * bool(root) + [str(name) for name in parents if not isinstance(name, int)]))
    fields = list(part.model_fields) if part is not None else []
    near = get_close_matches(str(key), fields, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"use {', '.join(fields)}."
    return f"there is no key `{_written(path)}`: {hint}"


def _plain(first: Mapping[str, Any]) -> str:
    """What is wrong, as the end of a sentence."""
    if first["type"] == "missing":
        return "is missing"
    message = str(first["msg"])
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    for prefix in ("Input should be a valid ", "Input should be "):
        if message.startswith(prefix):
            rest = message.removeprefix(prefix)
            article = "a " if prefix.endswith("valid ") else ""
            return f"must be {article}{_TYPES.get(rest, rest)}"
    if first["type"].startswith("string_pattern"):
        return "has the wrong form"
    if message.startswith("String should"):
        return message.replace("String should", "must", 1)
    return message[:1].lower() + message[1:]


_TYPES = {
    "dictionary or instance of ParametersField": "mapping of names to values",
    "dictionary": "mapping",
    "string": "text",
    "integer, unable to parse string as an integer": "whole number",
    "number, unable to parse string as a number": "number",
    "boolean, unable to interpret input": "true or false",
    "boolean": "true or false",
}


def _shown(first: Mapping[str, Any]) -> str:
    """The value, where the sentence says what it must be."""
    value = first.get("input")
    if not _plain(first).startswith(("must", "has the wrong form")) or isinstance(value, dict | list | tuple):
        return ""
    text = str(value)
    return f", not `{text if len(text) <= 60 else text[:57] + '...'}`"
