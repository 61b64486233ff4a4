"""How an example becomes the messages that a model gets.

A prompt's messages hold fields in braces: `{question}`, `{context}`, or any column of the dataset; `{{name}}` is the
text `{name}`. Nothing else in them is special. The default prompt asks for the shortest answer, because Exact Match
and F1 compare spans.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from qa_eval.data.examples import Example, SquadVersion
from qa_eval.errors import InputError
from qa_eval.spec.model import Message, PromptSpec
from qa_eval.spec.template import as_text, fields_of, fill

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

    def value(name: str) -> str:
        return _value(example, name)

    return [{"role": message.role, "content": fill(message.content, value)} for message in prompt.messages]


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
        yield from fields_of(message.content)


def _value(example: Example, name: str) -> str:
    """A field of an example as text; one that it lacks is empty."""
    if name == "question":
        return example.question.strip()
    return example.context if name == "context" else as_text(example.metadata.get(name, ""))
