"""Results of other tools, as systems to compare: inspect_ai's logs in JSON, and promptfoo's output files in JSON.

EM and F1 are computed from the answers and the references; the tool's own scores keep their names, but for a name that
is one of ours: it gets the tool's in front. Written against inspect_ai 0.3.285 (log version 2) and promptfoo 0.121
(results version 3).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qa_eval.analysis.observations import (
    Observations,
    ObservedAnswer,
    ScoredAnswer,
    gather,
    known_definitions,
    question_of,
)
from qa_eval.data.columns import find_roles
from qa_eval.data.examples import Example
from qa_eval.data.identity import content_text, digest
from qa_eval.data.rows import ID_DIGITS
from qa_eval.errors import DatasetError, InputError
from qa_eval.metrics import exact_match, f1
from qa_eval.metrics.registry import BUILT_IN
from qa_eval.targets.outcome import Outcome

INSPECT_ARCHIVE = ".eval"
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""inspect_ai's letters: correct, partially correct, incorrect, no answer."""
_PROMPTFOO_ERROR = 2
"""`failureReason` of a call that gave no answer; 1 is an answer that fails an assertion."""

_Asked = tuple[str, Example, ObservedAnswer, Mapping[str, float]]
"""System, question, answer, and the tool's own scores."""


def read_elsewhere(path: Path) -> list[Observations] | None:
    """The systems in a file of another tool; None where it is no such file.

    Raises:
        InputError: It is one and cannot be read.
    """
    if path.suffix == INSPECT_ARCHIVE:
        raise InputError(
            f"{path} is a compressed log of inspect_ai: convert it with `inspect log convert {path} --to json "
            "--output-dir FOLDER`, and give the file in it."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # whoever reads it as something else says so
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("eval"), dict) and "status" in content:
        return _systems(path, "inspect", _inspect, content)
    if isinstance(content.get("results"), dict) and "evalId" in content:
        return _systems(path, "promptfoo", _promptfoo, content)
    return None


def _systems(
    path: Path, tool: str, read: Callable[[Mapping[str, Any]], Iterator[_Asked]], content: Mapping[str, Any]
) -> list[Observations]:
    systems: dict[str, list[ScoredAnswer]] = {}
    try:
        for system, example, answer, scores in read(content):
            systems.setdefault(system, []).append(_scored(example, answer, scores, tool))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not in {tool}'s form ({type(error).__name__}: {error}).") from None
    if not systems:
        raise InputError(f"{path} holds no answers: give a file that holds the samples, not only their summary.")
    return [
        gather(
            system,
            answers,
            config={tool: path.name},
            definitions=known_definitions(dict.fromkeys(name for each in answers for name in each.scores)),
        )
        for system, answers in systems.items()
    ]


def _scored(example: Example, answer: ObservedAnswer, scores: Mapping[str, float], tool: str) -> ScoredAnswer:
    all_scores = {f"{tool}_{name}" if name in BUILT_IN else name: score for name, score in scores.items()}
    if example.references:
        official = {"exact_match": exact_match, "f1": f1}
        answered = answer.outcome.is_answer
        own = {name: of(answer.text, example.references) if answered else 0.0 for name, of in official.items()}
        all_scores = own | all_scores
    return ScoredAnswer(question_of(example), answer, all_scores)


# inspect_ai


def _inspect(log: Mapping[str, Any]) -> Iterator[_Asked]:
    for sample in log.get("samples") or ():
        target, output = sample["target"], sample["output"]
        example = Example(
            str(sample["id"]),
            _asked_text(sample["input"]),
            references=tuple(each for each in ([target] if isinstance(target, str) else target) if each),
            metadata=sample.get("metadata") or {},
        )
        failure = (sample.get("error") or {}).get("message") or output.get("error")
        if failure:
            answer = ObservedAnswer("", Outcome.TASK_ERROR, str(failure).splitlines()[0])
        else:
            text = str(output.get("completion") or "")
            outcome = Outcome.ANSWERED if text else Outcome.EMPTY
            answer = ObservedAnswer(text, outcome, latency_s=output.get("time"))
        yield str(log["eval"]["model"]), example, answer, dict(_grades(sample.get("scores") or {}))


def _asked_text(given: Any) -> str:
    """A sample's input: a text, or messages, of which the user's last one counts."""
    if isinstance(given, str):
        return given
    content = next(message["content"] for message in reversed(given) if message["role"] == "user")
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content if "text" in part)


def _grades(scores: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The scores that are numbers or inspect_ai's letters; one of several values gives one for each."""
    for name, score in scores.items():
        value = score["value"]
        for part, each in value.items() if isinstance(value, dict) else [("", value)]:
            grade = _GRADES.get(each) if isinstance(each, str) else each
            if isinstance(grade, int | float):
                yield f"{name}_{part}" if part else name, float(grade)


# promptfoo


def _promptfoo(content: Mapping[str, Any]) -> Iterator[_Asked]:
    for row in content["results"]["results"]:
        response, provider = row.get("response") or {}, row["provider"]
        system = f"{provider.get('label') or provider['id']} {row['prompt']['label']}"
        if row.get("failureReason") == _PROMPTFOO_ERROR:
            problem = str(response.get("error") or row.get("error") or "error").splitlines()[0]
            answer, scores = ObservedAnswer("", Outcome.GATEWAY_ERROR, problem), {"passed": 0.0, "score": 0.0}
        else:
            text = _output_text(response.get("output"))
            latency_s = None if response.get("cached") else float(row["latencyMs"]) / 1000
            outcome = Outcome.ANSWERED if text else Outcome.EMPTY
            answer = ObservedAnswer(text, outcome, latency_s=latency_s, cost_usd=row.get("cost") or None)
            scores = {"passed": float(row["success"]), "score": float(row["score"])}
            scores |= {name: float(score) for name, score in (row.get("namedScores") or {}).items()}
        yield " ".join(system.split()), _example(row), answer, scores


def _output_text(output: Any) -> str:
    return output if isinstance(output, str) else "" if output is None else json.dumps(output, ensure_ascii=False)


def _example(row: Mapping[str, Any]) -> Example:
    """The question of a test: its variables by the usual names of columns, or the prompt as it was sent."""
    variables = row["vars"]
    try:
        roles = find_roles("vars", list(variables))
    except DatasetError:
        return Example(_identifier(variables), str(row["prompt"]["raw"]), metadata=variables)
    found = [variables[name] for name in roles.references]
    references = tuple(str(each) for value in found for each in (value if isinstance(value, list) else [value]))
    return Example(
        str(variables[roles.id]) if roles.id else _identifier(variables),
        str(variables[roles.question]),
        str(variables[roles.context]) if roles.context else "",
        tuple(each for each in references if each),
        str(variables[roles.group]) if roles.group else "",
        {name: variables[name] for name in roles.metadata},
    )


def _identifier(variables: Mapping[str, Any]) -> str:
    """The same for a test that is repeated: promptfoo numbers repetitions like tests."""
    return digest(content_text("", "", (), "", dict(variables))).hex()[:ID_DIGITS]
