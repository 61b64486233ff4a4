"""A Converse request as the small model understands it best.

SmolLM2-135M follows instructions poorly, but continues a pattern well: a question on a context is put to it as the
last of a series (few-shot completion), and its answer is the rest of the line. This is a trait of this local model;
what the client sends stays the same. It is known by its end, `Context: …`, `Question: …`, `Answer:`, each set off by
an empty line, as the client's default prompt has it. Everything else is a conversation and goes through the model's
own chat template.

With this form the model has EM 27 and F1 35 on the 100 questions of `squad-qa-evaluation`, through the whole stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUESTION = re.compile(
    r"^Context: (?P<context>.+)\n\nQuestion: (?P<question>.+?)\n\nAnswer:\s*\Z", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class AskedQuestion:
    """A question on a context, and the answer where it is known."""

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
    AskedQuestion(
        "The Brenner Pass lies on the border between Austria and Italy. At 1,370 metres it is the lowest of the great "
        "passes of the eastern Alps, and a road for carriages was opened over it in 1777. The railway followed in "
        "1867, and the motorway was finished in 1974.",
        "When was the railway over the pass opened?",
        "1867",
    ),
    AskedQuestion(
        "Maria Sibylla Merian was born in Frankfurt in 1647. In 1699 she sailed to Suriname with her younger daughter, "
        "Dorothea, to study the insects of the rainforest. Her book about them, printed in Amsterdam, showed each "
        "insect on the plant that feeds it.",
        "Who travelled to Suriname with Merian?",
        "her younger daughter, Dorothea",
    ),
    AskedQuestion(_CORK, "What is most cork used for?", "stoppers for wine bottles"),
)
_UNANSWERABLE = AskedQuestion(_CORK, "How many cork oaks are there in Spain?", "unanswerable")


def read_question(message: str) -> AskedQuestion | None:
    """The question that a message ends with, or None where it has another form."""
    match = _QUESTION.search(message)
    return AskedQuestion(match["context"].strip(), match["question"].strip()) if match else None


def as_series(asked: AskedQuestion, instructions: str) -> str:
    """The question as the last of a series, for the model to continue.

    Args:
        asked: the question.
        instructions: what the request says besides; where it allows the answer `unanswerable`, so does the series.
    """
    solved = (_UNANSWERABLE, *_SOLVED) if "unanswerable" in instructions.lower() else _SOLVED
    return "\n\n".join(map(str, (*solved, asked)))
