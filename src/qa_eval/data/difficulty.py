"""How hard a question is, by a rule, where the data does not say.

The rule counts three things that make extractive questions harder for readers and models alike (Rajpurkar et
al., 2016, section 5: accuracy falls with answer length and with syntactic distance; Sugawara et al., 2018:
word overlap with the context makes questions easy):

* the shortest reference has more than four words;
* the question asks why or how (not: how many, how much, how long …);
* under half of the question's content words stand in the context.

None: easy. One: medium. Two or three: hard.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from qa_eval.data.examples import Difficulty

_WORD = re.compile(r"\w+")
_OPEN_QUESTION = re.compile(
    r"\bwhy\b|\bhow\b(?!\s+(many|much|long|far|old|tall|big|large|often|high|deep|fast|wide|heavy)\b)",
    re.IGNORECASE,
)
_FUNCTION_WORDS = frozenset(
    "a an and are as at be been by did do does during for from had has have how in into is it its many much of on or "
    "that the their there these they this to was were what when where which who whom whose why will with".split()
)


def derive_difficulty(question: str, context: str, references: Sequence[str]) -> Difficulty:
    """The difficulty of one question by the rule above; unanswerable questions count as hard."""
    if not references:
        return "hard"
    signs = (
        min(len(reference.split()) for reference in references) > 4,
        _OPEN_QUESTION.search(question) is not None,
        _overlap(question, context) < 0.5,
    )
    return ("easy", "medium", "hard", "hard")[sum(signs)]


def _overlap(question: str, context: str) -> float:
    """The share of the question's content words that stand in the context."""
    words = {word for word in _WORD.findall(question.lower()) if word not in _FUNCTION_WORDS}
    return len(words & set(_WORD.findall(context.lower()))) / len(words) if words else 1.0
