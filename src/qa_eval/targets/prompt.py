"""How an example becomes the messages that a model gets.

A prompt's messages hold fields in braces: `{question}`, `{context}`, or any column of the dataset; `{{name}}` is the
text `{name}`. Nothing else in them is special. The default prompt asks for the shortest answer, because Exact Match
and F1 compare spans.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from qa_eval.data.examples import Example, SquadVersion
from qa_eval.errors import InputError
from qa_eval.spec.model import FIELD, Message, PromptSpec

_FROM_CONTEXT = (
    "Answer the question with the shortest span of the context that answers it. Give only the answer, no sentence."
)
_FROM_KNOWLEDGE = "Answer the question with as few words as possible. Give only the answer, no sentence."
UNANSWERABLE = "unanswerable"
_UNANSWERABLE = f" Where the context holds no answer, answer: {UNANSWERABLE}."
_CONTEXT = "\n\nContext: {context}"
_QUESTION = "\n\nQuestion: {question}\n\nAnswer:"


def default_prompt(version: SquadVersion, has_context: bool = True) -> PromptSpec:
    """The documented prompt: for SQuAD v2.0 it offers `unanswerable`, without contexts it has none."""
    if has_context:
        text = _FROM_CONTEXT + (_UNANSWERABLE if version == "2.0" else "") + _CONTEXT + _QUESTION
    else:
        text = _FROM_KNOWLEDGE + _QUESTION
    return PromptSpec(messages=(Message(role="user", content=text),))


def render(prompt: PromptSpec, example: Example) -> list[dict[str, str]]:
    """The messages for one example. One pass, so that a context that holds `{question}` stays as it is."""
    values = _Values(example)

    def value(match: re.Match[str]) -> str:
        return match[1] or values[match[2]]

    return [{"role": m.role, "content": FIELD.sub(value, m.content)} for m in prompt.messages]


def check_fields(prompt: PromptSpec, fields: Collection[str]) -> None:
    """Make sure that a prompt asks the question and uses only what some example has.

    Raises:
        InputError: It does not; the field is named.
    """
    name = f"The prompt {prompt.source}" if prompt.source else "The prompt"
    used = list(_fields(prompt))
    unknown = next((field for field in used if field not in fields), None)
    if unknown is not None:
        raise InputError(
            f"{name} uses {{{unknown}}}, which no example has: use one of {', '.join(sorted(fields))}, or write "
            f"{{{{{unknown}}}}} for the text itself."
        )
    if "question" not in used:
        raise InputError(f"{name} does not use {{question}}: put it where the question goes.")


def declines(answer: str) -> bool:
    """Whether an answer says, as the v2.0 prompt asks, that the context holds none."""
    return answer.strip(" \t\n\"'.!").lower() == UNANSWERABLE


def _fields(prompt: PromptSpec) -> Iterator[str]:
    for message in prompt.messages:
        yield from (match[2] for match in FIELD.finditer(message.content) if match[2])


class _Values:
    """An example's fields as texts; one that it lacks is empty."""

    def __init__(self, example: Example) -> None:
        self._example = example

    def __getitem__(self, name: str) -> str:
        if name == "question":
            return self._example.question.strip()
        if name == "context":
            return self._example.context
        return _text(self._example.metadata.get(name, ""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
