"""Calls of an evaluator's own LLM: made by whoever runs it, and paid once like a judgement."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from qa_eval.metrics.explain import declined
from qa_eval.metrics.json_text import valid_json
from qa_eval.metrics.judgement import Misjudged, Misjudgement, ReplyForm, in_form, key_of


@dataclass(frozen=True)
class LlmCall:
    """One call of an evaluator's LLM."""

    model: str
    """The model group."""
    messages: tuple[Mapping[str, str], ...]
    """`role` and `content` of each."""
    schema: Mapping[str, Any] | None
    """JSON Schema of the object that is wanted; None for text."""
    parameters: Mapping[str, Any]
    """Parameters of the model: those of every judge, unless the LLM or the evaluator gives others."""


LlmCaller = Callable[[LlmCall], Awaitable[str]]
"""Makes a call. It returns the reply's text, which for an object is JSON; what it raises passes through."""
CALLER: ContextVar[LlmCaller | None] = ContextVar("qa_eval_llm_caller", default=None)
"""Who makes the calls of the LLMs of `judge_llm`; None outside of a run."""


@contextmanager
def within_caller(caller: LlmCaller) -> Iterator[None]:
    """Calls of evaluators that start in here are made by this caller."""
    token = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(token)


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema as strict structured output takes it: no other fields, and labels with descriptions as a plain list."""
    return {**_strict(schema)}


def _strict(part: Any) -> Any:
    if isinstance(part, list):
        return [_strict(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    closed = {"additionalProperties": False} if part.get("type") == "object" else {}
    strict = {**closed, **{name: _strict(value) for name, value in part.items()}}
    if described := _described(part):
        del strict["oneOf"]
        lines = [part.get("description"), *(f"{label}: {text}" for label, text in described.items() if text)]
        strict |= {"enum": [*described], "description": "\n".join(filter(None, lines))}
    return strict


def _described(part: Mapping[str, Any]) -> dict[str, str]:
    """Labels with their descriptions, as phoenix.evals writes them; nothing where there are none."""
    entries = part.get("oneOf")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) and "const" in entry for entry in entries):
        return {}
    return {entry["const"]: entry.get("description", "") for entry in entries}


def read_object(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The object in a reply.

    Raises:
        Misjudgement: There is none, or not one of the schema.
    """
    text = text.strip()
    found = valid_json(text, schema)
    value = json.loads(text) if found.value or valid_json(text).value else None
    if found.value and isinstance(value, dict):
        return value
    problem = (found.explanation or "It is no JSON object.").removesuffix(".")
    raise Misjudgement(_kind(text, value, schema), f"{problem}; it begins {text[:60]!r}")


def _kind(text: str, value: Any, schema: Mapping[str, Any]) -> Misjudged:
    """Why a reply is not the object."""
    if value is None and declined(text) == "refused":
        return Misjudged.REFUSAL
    label = value.get("label") if isinstance(value, dict) else None
    about = schema.get("properties", {}).get("label", {})
    labels = about.get("enum") or _described(about)
    is_unknown = isinstance(label, str) and labels and label not in labels
    return Misjudged.UNKNOWN_LABEL if is_unknown else Misjudged.INVALID_JSON


@dataclass(frozen=True)
class LlmRequest:
    """One call; a `PaidRequest`."""

    call: LlmCall

    @property
    def model(self) -> str:
        """The model group."""
        return self.call.model

    @property
    def key(self) -> str:
        """The same for the same call."""
        call = self.call
        return key_of(call.model, list(map(dict, call.messages)), call.schema, dict(call.parameters))

    @property
    def forms(self) -> tuple[ReplyForm, ...]:
        """Objects by structured output or a tool call; text as it comes."""
        return (ReplyForm.LABEL,) if self.call.schema is None else (ReplyForm.SCHEMA, ReplyForm.TOOL)

    def messages(self, form: ReplyForm) -> list[dict[str, str]]:
        """The evaluator's own messages."""
        return [dict(message) for message in self.call.messages]

    def extras(self, form: ReplyForm) -> dict[str, Any]:
        """The parameters, and the form of the reply."""
        schema = self.call.schema
        return {**self.call.parameters, **({} if schema is None else in_form(form, strict_schema(schema)))}

    def check(self, text: str) -> None:
        """Raise `Misjudgement` where an object cannot be read."""
        if self.call.schema is not None:
            read_object(text, self.call.schema)
