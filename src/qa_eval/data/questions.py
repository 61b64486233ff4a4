"""What a question asks for, by its words."""

from __future__ import annotations

import re
from typing import Literal

QuestionType = Literal["who", "when", "where", "how many", "how", "why", "which", "what", "other"]
_QUESTION_WORD = re.compile(r"\b(?:how\s+(?:many|much)|how|who(?:m|se)?|what|which|why|when|where)\b", re.IGNORECASE)
_TYPES: dict[str, QuestionType] = {
    "who": "who",
    "whom": "who",
    "whose": "who",
    "when": "when",
    "where": "where",
    "how many": "how many",
    "how much": "how many",
    "how": "how",
    "why": "why",
    "which": "which",
    "what": "what",
}
_ASKING = re.compile(
    r"['’]s\b|\W*$|\s+else\b|\s+(?:is|was|are|were|do|does|did|has|have|had|can|could|will|would|should|may|might|must)\b",
    re.IGNORECASE,
)

# Phrases are looked for in lower-cased text whose contractions are written out (`_plain`).


def question_type(question: str) -> QuestionType:
    """What the question asks for, by its first question word.

    `how many` stands for "how much" too, `who` for "whom" and "whose". "When" and "where" count only before an
    auxiliary verb or "else", at the end, or at the start of a question without another question word: "When the
    war ended, who ruled?" asks who. "In what year" is `what`: the rule reads the words and does not guess at the
    answer. No question word: `other`.
    """
    words = _QUESTION_WORD.finditer(question)
    found = next((word for word in words if _asks(word)), None) or _QUESTION_WORD.match(question.lstrip())
    return "other" if found is None else _TYPES[" ".join(found[0].lower().split())]


def _asks(word: re.Match[str]) -> bool:
    if word[0].lower() not in ("when", "where"):
        return True
    return _ASKING.match(word.string, word.end()) is not None
