"""The prompt format that suits the small model.

SmolLM2-135M follows instructions poorly but continues patterns well: a question on a context becomes the last of a
series of examples (few-shot completion), and the answer is the rest of the line. This concerns only the local model;
the client's request stays the same. Such a question is recognized by its end, `Context: …`, `Question: …`, `Answer:`,
separated by empty lines, as in the client's default prompt. Any other request uses the model's chat template.

With this format the model has EM 27 and F1 35 on the 100 questions of `squad-qa-evaluation`, through the whole stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUESTION = re.compile(
    r"^Context: (?P<context>.+)\n\nQuestion: (?P<question>.+?)\n\nAnswer:\s*\Z", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class ContextQuestion:
    """A question on a context, with the answer if it is known."""

    context: str
    question: str
    answer: str = ""

    def __str__(self) -> str:
        return f"Context: {self.context}\n\nQuestion: {self.question}\n\nAnswer: {self.answer}".rstrip()


_CORK = (
    "Cork is the bark of the cork oak. A tree is first stripped when it is about 25 years old, and then every nine "
    "years, by hand, with an axe. Portugal supplies about half of the cork that the world uses; most of it becomes "
    "stoppers for wine bottles."
)
_SOLVED = (
    ContextQuestion(
        "The Brenner Pass lies on the border between Austria and Italy. At 1,370 metres it is the lowest of the great "
        "passes of the eastern Alps, and a road for carriages was opened over it in 1777. The railway followed in "
        "1867, and the motorway was finished in 1974.",
        "When was the railway over the pass opened?",
        "1867",
    ),
    ContextQuestion(
        "Maria Sibylla Merian was born in Frankfurt in 1647. In 1699 she sailed to Suriname with her younger daughter, "
        "Dorothea, to study the insects of the rainforest. Her book about them, printed in Amsterdam, showed each "
        "insect on the plant that feeds it.",
        "Who travelled to Suriname with Merian?",
        "her younger daughter, Dorothea",
    ),
    ContextQuestion(_CORK, "What is most cork used for?", "stoppers for wine bottles"),
)
_UNANSWERABLE = ContextQuestion(_CORK, "How many cork oaks are there in Spain?", "unanswerable")


def read_question(message: str) -> ContextQuestion | None:
    """The question at the end of a message; None if the message has another format."""
    match = _QUESTION.search(message)
    return ContextQuestion(match["context"].strip(), match["question"].strip()) if match else None


def as_series(question: ContextQuestion, instructions: str) -> str:
    """A series of solved examples that ends with the question, for the model to continue.

    Args:
        question: The question.
        instructions: The rest of the request; if it mentions `unanswerable`, the series has such an example.
    """
    solved = (_UNANSWERABLE, *_SOLVED) if "unanswerable" in instructions.lower() else _SOLVED
    return "\n\n".join(map(str, (*solved, question)))
