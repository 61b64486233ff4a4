"""Code metrics for free answers: contained texts, patterns, JSON, length, refusal, numbers and ROUGE-L.

In: an answer, and texts, a pattern, a schema or references to compare it with. Out: floats, or a `Score` where a
sentence says why. Pure functions without a model; each rule stands in its function's docstring. The numbers are in
`numeric`, JSON is in `json_text`; their functions have their names here too.

A wrong argument raises `InputError`. An example that a metric cannot measure, such as one whose references hold no
number where numbers are compared, raises `ValueError`: an error beside the mean, and no 0 in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from qa_eval.errors import InputError
from qa_eval.metrics import explain
from qa_eval.metrics.json_text import check_schema, valid_json
from qa_eval.metrics.numeric import numeric

__all__ = [
    "answer_contained",
    "check_rouge",
    "check_schema",
    "compile_pattern",
    "contains",
    "contains_all",
    "length",
    "matches",
    "numeric",
    "refusal",
    "rouge_l",
    "valid_json",
]

_SHOWN = 100
_ROUGE_WORD = re.compile("[a-z0-9]")


def contains(answer: str, texts: Sequence[str]) -> float:
    """Whether one of the texts occurs in the answer: 1.0 or 0.0.

    Upper and lower case are equal, as are the forms of a character that NFKC unites ("ﬁ" and "fi", full and half
    width); a run of white space is one space, and none at a text's ends counts. It is a plain substring: "art" is
    in "Bart", and `matches` with `\\bart\\b` finds words only. Accents and punctuation count. A blank text is in no
    answer, though Python has it in each; where there are no texts, none occurs.

    Args:
        answer: Any text.
        texts: What is looked for.

    Raises:
        InputError: One text is given in place of a list.

    Source: the assertion `icontains-any` of promptfoo, which leaves white space and characters' forms as they are.
    """
    folded = _folded(answer)
    return float(any(_occurs(text, folded) for text in _listed(texts)))


def contains_all(answer: str, texts: Sequence[str]) -> float:
    """Whether all of the texts occur in the answer: 1.0 or 0.0, and no share of them.

    What occurs is as in `contains`; so one blank text makes it 0.0. Where there are no texts it is 1.0. The texts
    may overlap in the answer, and their order is of no account.

    Raises:
        InputError: One text is given in place of a list.

    Source: the assertion `icontains-all` of promptfoo, as in `contains`.
    """
    folded = _folded(answer)
    return float(all(_occurs(text, folded) for text in _listed(texts)))


def matches(answer: str, pattern: str | re.Pattern[str]) -> float:
    """Whether a regular expression matches somewhere in the answer: 1.0 or 0.0.

    It is `re.search`: `^` and `$` bind it to the whole answer, `(?i)` at its start makes case of no account. An
    empty pattern matches any answer, the empty one too. Nothing limits its time: a pattern such as `(a+)+$` can
    take forever on a long answer.

    Raises:
        InputError: The pattern is no regular expression.
    """
    return float(compile_pattern(pattern).search(answer) is not None)


def compile_pattern(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    """A pattern for `matches`; one that is compiled already stays as it is.

    Raises:
        InputError: It is no regular expression; the sentence says what is wrong and, where Python knows it, at
            which character, counted from 1.
    """
    try:
        return re.compile(pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        place = "" if position is None else f" at character {position + 1}"
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
        raise InputError(
            f"The pattern {_shown(pattern)!r} is wrong{place} ({problem}): give a regular expression of Python's `re`."
        ) from None


def _shown(pattern: str | re.Pattern[str]) -> str:
    text = str(pattern)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


def length(answer: str) -> float:
    """The number of words: what white space separates.

    "well-known" is one word, and so is a Chinese sentence without spaces; a dash between spaces is one too. An empty
    or blank answer has none.
    """
    return float(len(answer.split()))


def refusal(answer: str) -> float:
    """Whether the answer declines to answer: 1.0 or 0.0.

    It is 1.0 for both kinds that `explain.declined` knows, "I can't help with that" and "the passage does not say",
    by fixed English phrases. An empty answer is 0.0.
    """
    return float(explain.declined(answer) is not None)


def answer_contained(answer: str, references: Sequence[str]) -> float:
    """Whether a reference stands in the answer, word for word after the official SQuAD normalisation: 1.0 or 0.0.

    Whole words only, side by side and in order. A reference of which nothing is left ("the", "…") is in no answer;
    where there are no references, none is. It is `explain.answer_contained` as a number.

    Raises:
        InputError: One text is given in place of a list.
    """
    return float(explain.answer_contained(answer, _listed(references)))


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """The F-measure (0..1) of ROUGE-L for the answer and the nearest of its references.

    Precision and recall are the length of the longest common subsequence of words over the words of the answer and
    of the reference; F is their harmonic mean. Words are runs of a-z and 0-9 in lower case, not stemmed: "café" is
    "caf", and a text in another script has no words. An answer without words is 0.0. A text is one sequence,
    whatever its sentences. Time and memory grow with the product of both lengths: two texts of 1,000 words take about
    0.3 seconds and 10 MB, ten times as many words a hundred times as much.

    Args:
        answer: Any text.
        references: Accepted answers; those without words count 0.0.

    Raises:
        InputError: The package rouge-score is not installed, or one text is given in place of a list.
        ValueError: No reference has a word.

    Source: Lin, 2004, "ROUGE: A Package for Automatic Evaluation of Summaries"
    (https://aclanthology.org/W04-1013), section 3.1, as the package rouge-score computes it.
    """
    score = _rouge_l_score()
    if not any(_ROUGE_WORD.search(reference.lower()) for reference in _listed(references)):
        raise ValueError("no reference holds a word that ROUGE-L counts, of a-z and 0-9")
    return max(score(reference, answer) for reference in references)


def check_rouge() -> None:
    """Refuse ROUGE-L where it cannot be computed.

    Raises:
        InputError: The package rouge-score is not installed.
    """
    _rouge_l_score()


@lru_cache(maxsize=1)
def _rouge_l_score() -> Callable[[str, str], float]:
    """The F-measure for a reference and an answer."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise InputError("ROUGE-L needs the package rouge-score: pip install 'qa-eval[rouge]'.") from error
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    return lambda reference, answer: float(scorer.score(reference, answer)["rougeL"].fmeasure)


def _listed(texts: Sequence[str]) -> Sequence[str]:
    """The texts, where they are a list: one text would be taken for its characters."""
    if isinstance(texts, str):
        raise InputError("A list of texts is needed, and one text was given: put it in a list.")
    return texts


def _occurs(text: str, folded_answer: str) -> bool:
    folded = _folded(text)
    return bool(folded) and folded in folded_answer


def _folded(text: str) -> str:
    """Without differences of case, character form and white space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())
