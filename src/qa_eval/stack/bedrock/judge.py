"""A stand-in for a judge: rules in place of a model, because the local model is too small to judge.

It knows a judge's request by the first words of its system message, and the labels by the JSON schema of the reply or
by the last lines of the message. Its rule is
containment of normalised words: a reference in the answer; without references, the answer in the context; without
both, an answer that says something. The first label is for what holds the rule, the last for what does not. Of two
answers, the one that alone holds the rule is preferred. It reads nothing of the rubric, so its labels say nothing
about a judge: they let demo, tests and notebooks run the whole way, and every explanation says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from qa_eval.stack.bedrock.generation import End, Generation
from qa_eval.stack.bedrock.replay import estimate_tokens

INSTRUCTIONS = "You are judging answers."
"""How a judge's system message begins."""
EXPLANATION = "Stand-in of the local stack, not a judge: decided by containment of words, without a model."
_LABELS = re.compile(r"these labels exactly as written: (?P<labels>.+)\.$", re.MULTILINE)
_DECLINED = ("unanswerable", "i do not know", "i don t know", "i cannot", "i can t")


def is_judgement(instructions: str, message: str, schema: Mapping[str, Any] | None = None) -> bool:
    """Whether a request asks for a judgement, as JSON by a schema or as text."""
    return instructions.startswith(INSTRUCTIONS) and bool(_labels(message, schema))


async def stand_in(message: str, schema: Mapping[str, Any] | None = None) -> Generation:
    """The judgement as a stream. Token counts are estimates."""
    label = decide(message, _labels(message, schema))
    text = f"{EXPLANATION}\nLabel: {label}"
    if schema is not None:
        text = json.dumps({"explanation": EXPLANATION, "label": label})
    yield text
    yield End("end_turn", estimate_tokens(message), estimate_tokens(text))


def _labels(message: str, schema: Mapping[str, Any] | None) -> Sequence[str]:
    """What the judge chooses from; nothing where this is no judgement."""
    if schema is not None:
        labels: Sequence[str] = schema.get("properties", {}).get("label", {}).get("enum", [])
        return labels
    match = _LABELS.search(message)
    return [] if match is None else match["labels"].split(", ")


def decide(message: str, labels: Sequence[str]) -> str:
    """The label for a judge's message."""
    if _part(message, "first") is not None:
        return _preferred(message, labels)
    answer = _words(_part(message, "answer") or "")
    if labels[0] == "refused":
        return labels[0] if not answer or answer.startswith(_DECLINED) else labels[-1]
    return labels[0] if _holds(message, answer) else labels[-1]


def _preferred(message: str, labels: Sequence[str]) -> str:
    first, second = (_holds(message, _words(_part(message, name) or "")) for name in ("first", "second"))
    return labels[2] if first == second else labels[0] if first else labels[1]


def _holds(message: str, answer: str) -> bool:
    """Whether an answer holds the rule."""
    references = [words for line in (_part(message, "references") or "").splitlines() if (words := _words(line))]
    if references:
        return any(f" {reference} " in f" {answer} " for reference in references)
    context = _words(_part(message, "context") or "")
    return bool(answer) and (not context or f" {answer} " in f" {context} ")


def _part(message: str, name: str) -> str | None:
    """What stands between two tags; None where they are missing."""
    found = re.search(rf"<{name}>\n(.*?)\n</{name}>", message, re.DOTALL)
    return None if found is None else found[1]


def _words(text: str) -> str:
    """The words of a text in lower case, without articles and punctuation."""
    return " ".join(word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the"))
