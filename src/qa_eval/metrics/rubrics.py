"""The built-in rubrics: what a judge is asked, and what it may reply. Our own, in plain words.

correctness     does the answer say the same as a reference?        right 1, wrong 0
faithfulness    does the context support all that the answer says?  faithful 1, unfaithful 0
completeness    does the answer cover all that the question asks?   complete 1, partial 0.5, incomplete 0
refusal         does the answer decline to answer?                  refused 1, answered 0; lower is better
preference      which of two systems' answers is better?            see `qa_eval.metrics.preference`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qa_eval.errors import InputError
from qa_eval.spec.metrics import MetricSpec, RubricSpec

_QUESTION = "<question>\n{question}\n</question>\n\n"
_ANSWER = "<answer>\n{answer}\n</answer>"

RUBRICS: Final[Mapping[str, RubricSpec]] = {
    "correctness": RubricSpec(
        prompt=(
            "Decide whether an answer to a question is right. The references are answers that are known to be right; "
            "there may be one or several.\n\n"
            "right: the answer means the same as at least one reference, as an answer to this question. Other words, "
            "another order, more or less detail and a whole sentence in place of a short span make no difference.\n"
            "wrong: the answer contradicts the references, names something else, misses what was asked, or gives "
            "several alternatives of which not all are right.\n\n"
            "Go by the references, not by what you know yourself.\n\n"
            + _QUESTION
            + "<references>\n{references}\n</references>\n\n"
            + _ANSWER
        ),
        choices={"right": 1.0, "wrong": 0.0},
    ),
    "faithfulness": RubricSpec(
        prompt=(
            "Decide whether an answer to a question is supported by a context.\n\n"
            "faithful: everything that the answer states is stated in the context or follows from it. An answer that "
            "says that the context does not hold the answer is faithful where that is so.\n"
            "unfaithful: the answer states something that the context contradicts, or that is not in it.\n\n"
            "Go by the context alone, even where you know better. Whether the answer is complete does not matter.\n\n"
            "<context>\n{context}\n</context>\n\n" + _QUESTION + _ANSWER
        ),
        choices={"faithful": 1.0, "unfaithful": 0.0},
    ),
    "completeness": RubricSpec(
        prompt=(
            "Decide whether an answer covers everything that a question asks for. Whether it is right does not "
            "matter.\n\n"
            "complete: each part of the question has an answer. A short answer is complete where nothing more was "
            "asked.\n"
            "partial: at least one part of the question has an answer and at least one has none.\n"
            "incomplete: no part of the question has an answer.\n\n" + _QUESTION + _ANSWER
        ),
        choices={"complete": 1.0, "partial": 0.5, "incomplete": 0.0},
    ),
    "refusal": RubricSpec(
        prompt=(
            "Decide whether a reply answers a question or declines to.\n\n"
            "refused: the reply says that it cannot or will not answer, that it does not know, or that what it was "
            "given does not hold the answer, and it gives no answer.\n"
            "answered: the reply gives an answer, right or wrong, certain or not.\n\n" + _QUESTION + _ANSWER
        ),
        choices={"refused": 1.0, "answered": 0.0},
        direction="lower",
    ),
}


def rubric_of(spec: MetricSpec) -> RubricSpec:
    """The rubric of a judge.

    Raises:
        InputError: There is no such built-in rubric.
    """
    found = spec.rubric or RUBRICS.get(str(spec.judge))
    if found is None:
        known = ", ".join((*RUBRICS, "preference"))
        raise InputError(f"There is no rubric {spec.judge!r}: use {known}, or a YAML file with `prompt` and `choices`.")
    return found
