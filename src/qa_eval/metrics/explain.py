"""Facts that explain a score: is the answer in there, how long is it, does it decline, what was asked.

In: a question, a prediction and its references. Out: one frozen dataclass. They are no scores: nothing here says
how good an answer is, only why Exact Match or F1 came out as it did. Each rule stands in its function's docstring
and knows English only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qa_eval.data.questions import QuestionType, question_type
from qa_eval.metrics.squad import normalised_tokens

Declined = Literal["refused", "not in context"]

_CONTEXT = r"(?:(?:the|this|your) )?(?:(?:given|provided|above) )?(?:context|passage|text|paragraph|article|document)"
_SAID = "(?:mentioned|stated|specified|said|provided|given|available|found|indicated|discussed)"
_NOT_IN_CONTEXT = re.compile(
    "|".join(
        (
            r"^\W*(?:unknown|n/a|no answer|not answerable)\W*$",
            r"^\W*unanswerable\b",
            rf"^\W*(?:it is )?not (?:\w+ly )?(?:{_SAID}\b|in {_CONTEXT}\b)",
            rf"\b{_CONTEXT} (?:does|do) not (?:\w+ly )?"
            "(?:mention|state|specify|say|provide|contain|give|include|tell|have enough)\\b",
            rf"\b(?:is|are|was|were) not (?:\w+ly )?(?:{_SAID} )?(?:in|by|from) {_CONTEXT}\b",
            r"^\W*(?:no|not enough|insufficient) information\b",
            r"\bthere is (?:no|not enough|insufficient) (?:information|mention)\b",
            r"\bcannot be (?:answered|determined|inferred)\b",
            # From the first of these verbs on: trying each would take the square of a long answer's length.
            rf"^(?>.*?\bcannot (?:answer|find|determine)\b).*\b{_CONTEXT}\b",
            r"^\W*i (?:do not know|am not sure)\b",
        )
    )
)
_REFUSED = re.compile(
    "|".join(
        (
            r"^\W*(?:(?:(?:i am|we are) (?:\w+ )?)?sorry|i apologi[sz]e|as an ai)\b",
            r"\bi am (?:not able|unable) to\b",
            r"\bi (?:cannot|will not|must decline to) (?:\w+ly )?"
            r"(?:help|assist|answer|provide|discuss|comply|fulfil+|share|engage)\b",
        )
    )
)


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What explains the scores of one answer."""

    answer_contained: bool
    """A reference stands in the prediction, word for word."""
    length_ratio: float | None
    """The prediction's length over that of the reference nearest in length, in normalised tokens; None where there
    is no reference to compare with."""
    declined: Declined | None
    """The model refused, or said that the context has no answer; None where it did neither."""
    question_type: QuestionType


def answer_facts(question: str, prediction: str, references: Sequence[str]) -> AnswerFacts:
    """All facts about one answer."""
    return AnswerFacts(
        answer_contained(prediction, references),
        length_ratio(prediction, references),
        declined(prediction),
        question_type(question),
    )


def answer_contained(prediction: str, references: Sequence[str]) -> bool:
    """Whether some reference's tokens stand in the prediction's, side by side and in order.

    Both are normalised as SQuAD does; whole words only ("art" is not in "party"), and a reference of which nothing
    is left is in no prediction. With F1 below 1 it tells a right answer in a long sentence from a wrong one.
    """
    tokens = _joined(prediction)
    return any(len(reference) > 2 and reference in tokens for reference in map(_joined, references))


def length_ratio(prediction: str, references: Sequence[str]) -> float | None:
    """Tokens in the prediction over tokens in the reference nearest in length; of two as near, the shorter.

    Above 1: the answer says more than was asked, and precision pays. References that normalise to nothing do not
    count. None without references.

    Source: the closest reference length of BLEU (Papineni et al., 2002, doi:10.3115/1073083.1073135).
    """
    lengths = [len(tokens) for tokens in map(normalised_tokens, references) if tokens]
    if not lengths:
        return None
    length = len(normalised_tokens(prediction))
    return length / min(lengths, key=lambda reference: (abs(reference - length), reference))


def declined(prediction: str) -> Declined | None:
    """Whether the model declined to answer, by fixed English phrases.

    `not in context`: the answer says that the text does not hold it ("unanswerable", "not mentioned", "the
    passage does not say …", "there is no information about …", "I don't know"). `refused`: it says that the model
    will not or cannot answer ("I'm sorry", "I can't help …", "As an AI …"). The first wins where both fit: "I'm
    sorry, the context does not mention it" is no refusal. Words that an answer may hold, such as "unknown", count
    only alone. The empty answer is neither.
    """
    text = _plain(prediction)
    if _NOT_IN_CONTEXT.search(text):
        return "not in context"
    return "refused" if _REFUSED.search(text) else None


def _joined(text: str) -> str:
    """The normalised tokens with a space on both sides of each, so that only whole ones are found in it."""
    return f" {' '.join(normalised_tokens(text))} "


def _plain(text: str) -> str:
    text = " ".join(text.lower().replace("’", "'").split())
    for short, long in (("can't", "cannot"), ("won't", "will not"), ("n't", " not"), ("i'm", "i am"), ("'re", " are")):
        text = text.replace(short, long)
    return text
