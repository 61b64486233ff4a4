"""How a question becomes a prompt.

The default asks for the shortest span that answers, because Exact Match and F1 compare spans. A prompt file holds
`{question}` and, usually, `{context}`; nothing else in it is special.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from qa_eval.data.examples import Example, SquadVersion
from qa_eval.errors import InputError

_INSTRUCTION = (
    "Answer the question with the shortest span of the context that answers it. Give only the answer, no sentence."
)
UNANSWERABLE = "unanswerable"
_UNANSWERABLE = f" Where the context holds no answer, answer: {UNANSWERABLE}."
_FORM = "\n\nContext: {context}\n\nQuestion: {question}\n\nAnswer:"
_FIELD = re.compile(r"\{(context|question)\}")


@dataclass(frozen=True)
class Prompt:
    """A template for the one user message that asks a question."""

    template: str

    def fill(self, example: Example) -> str:
        """The message for one example. One pass, so that a context that holds `{question}` stays as it is."""
        fields = {"context": example.context, "question": example.question.strip()}
        return _FIELD.sub(lambda match: fields[match[1]], self.template)


def default_prompt(version: SquadVersion) -> Prompt:
    """The documented prompt; for SQuAD v2.0 it offers `unanswerable`."""
    return Prompt(_INSTRUCTION + (_UNANSWERABLE if version == "2.0" else "") + _FORM)


def declines(answer: str) -> bool:
    """Whether an answer says, as the v2.0 prompt asks, that the context holds none."""
    return answer.strip(" \t\n\"'.!").lower() == UNANSWERABLE


def read_prompt(path: Path) -> Prompt:
    """A prompt from a file.

    Raises:
        InputError: The file cannot be read, or does not hold `{question}`.
    """
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"The prompt file {path} cannot be read ({reason}): check the path.") from None
    if "{question}" not in template:
        raise InputError(f"The prompt file {path} does not hold {{question}}: say where the question goes.")
    return Prompt(template.rstrip("\n"))
