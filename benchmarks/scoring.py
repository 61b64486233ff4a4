"""How fast the SQuAD scores are computed, and whether they are the official ones.

The whole v1.1 development set (10,570 questions) with the predictions of two published systems is scored by qa-eval,
by the official definitions written out plainly, and by whatever of `torchmetrics`, `transformers` (below 5) and
`inspect-ai` is installed. Each gets one core and starts with empty caches; the best of `ROUNDS` CPU times counts.

    python benchmarks/scoring.py            exit code 1 where a total is off, or ours is not 2.5 times as fast

qa-eval's scoring needs nothing but Python, so the rivals can stay in an environment of their own:

    uv venv /tmp/rivals && uv pip install --python /tmp/rivals/bin/python torchmetrics torch 'transformers<5' inspect-ai
    PYTHONPATH=src /tmp/rivals/bin/python benchmarks/scoring.py

Data: `$QA_EVAL_SHARED_DATA`, else `../shared/data` from the project's root.
"""

from __future__ import annotations

import json
import os
import platform
import re
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qa_eval.metrics import squad

ROUNDS = 5
FASTER = 2.5
PUBLISHED = {
    "bert-ensemble-v1.1.json": (86.20624408703878, 92.19557978351145),
    "logistic-regression-v1.1.json": (40.14191106906339, 50.98153647324461),
}


@dataclass(frozen=True)
class Question:
    """A question of the development set, as far as scores are concerned."""

    id: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What one way of scoring gave."""

    name: str
    exact_match: float
    f1: float
    seconds: float


Predictions = Mapping[str, str]
Scorer = Callable[[Predictions, Sequence[Question]], tuple[float, float]]
"""Predictions and questions in, exact match and F1 in percent out."""


def ours(predictions: Predictions, questions: Sequence[Question]) -> tuple[float, float]:
    """qa-eval, with empty caches."""
    squad._normalise_cached.cache_clear()
    scores = squad.score_predictions(predictions, questions)
    return scores.exact_match, scores.f1


def plain(predictions: Predictions, questions: Sequence[Question]) -> tuple[float, float]:
    """The definitions, step by step, for every pair of a prediction and a reference."""
    exact_matches, f1_sum = 0, 0.0
    for question in questions:
        if question.id in predictions:
            answer = predictions[question.id]
            exact_matches += max(normal_form(answer) == normal_form(right) for right in question.references)
            f1_sum += max(token_f1(answer, right) for right in question.references)
    return 100.0 * exact_matches / len(questions), 100.0 * f1_sum / len(questions)


def normal_form(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces."""
    punctuation = set(string.punctuation)
    kept = "".join(character for character in text.lower() if character not in punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def token_f1(answer: str, right: str) -> float:
    """The harmonic mean of token precision and recall."""
    answer_tokens, right_tokens = normal_form(answer).split(), normal_form(right).split()
    shared = sum((Counter(answer_tokens) & Counter(right_tokens)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(answer_tokens), shared / len(right_tokens)
    return (2 * precision * recall) / (precision + recall)


def torchmetrics(predictions: Predictions, questions: Sequence[Question]) -> tuple[float, float]:
    """The v1.1 totals of `torchmetrics`, which adds them up in single precision."""
    score = import_module("torchmetrics.functional.text").squad
    # It leaves a question without a prediction out with a warning; the official script counts it.
    answered = [
        {"prediction_text": predictions.get(question.id, "\N{NO ENTRY}"), "id": question.id} for question in questions
    ]
    targets = [
        {"id": q.id, "answers": {"text": list(q.references), "answer_start": [0] * len(q.references)}}
        for q in questions
    ]
    totals = score(answered, targets)
    return float(totals["exact_match"]), float(totals["f1"])


def transformers(predictions: Predictions, questions: Sequence[Question]) -> tuple[float, float]:
    """The v2.0 definitions that `transformers` ships."""
    metrics = import_module("transformers.data.metrics.squad_metrics")
    examples = [
        _TransformersExample(question.id, [{"text": reference} for reference in question.references])
        for question in questions
        if question.id in predictions
    ]
    exact_scores, f1_scores = metrics.get_raw_scores(examples, predictions)
    return 100.0 * sum(exact_scores.values()) / len(questions), 100.0 * sum(f1_scores.values()) / len(questions)


@dataclass(frozen=True)
class _TransformersExample:
    qas_id: str
    answers: list[dict[str, str]]


def inspect_ai(predictions: Predictions, questions: Sequence[Question]) -> tuple[float, float]:
    """`exact` and `f1` of inspect-ai: normalised in another way, F1 rounded to two decimals."""
    scorer: Any = import_module("inspect_ai.scorer._classification")
    pairs = [(predictions.get(question.id, ""), list(question.references)) for question in questions]
    exact_sum = sum(scorer.max_exact_score(*pair) for pair in pairs)
    return 100.0 * exact_sum / len(pairs), 100.0 * sum(scorer.max_f1_score(*pair) for pair in pairs) / len(pairs)


SCORERS: dict[str, tuple[Scorer, str | None]] = {
    "qa-eval": (ours, None),
    "plain definitions": (plain, None),
    "torchmetrics": (torchmetrics, "torchmetrics"),
    "transformers (v2.0)": (transformers, "transformers"),
    "inspect-ai": (inspect_ai, "inspect-ai"),
}


def data_folder() -> Path:
    """Where the shared data lies."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("QA_EVAL_SHARED_DATA") or default) / "squad"
    if not folder.is_dir():
        sys.exit(f"There is no data at {folder}: set QA_EVAL_SHARED_DATA to the folder that holds squad/dev-v1.1.json.")
    return folder


def read_questions(file: Path) -> list[Question]:
    """The questions of a file in the official format."""
    return [
        Question(entry["id"], tuple(answer["text"] for answer in entry["answers"]))
        for article in json.loads(file.read_text(encoding="utf-8"))["data"]
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
    ]


def measure(predictions: Predictions, questions: Sequence[Question]) -> Iterator[Result]:
    """Each scorer's totals and best CPU time; those that are not installed are named and left out."""
    for name, (scorer, package) in SCORERS.items():
        label = name
        try:
            if package is not None:
                label = f"{name} {version(package)}"
            totals = scorer(predictions, questions)
        except ImportError as missing:
            print(f"  {name}: left out ({missing})")
            continue
        yield Result(label, *totals, min(_cpu_seconds(scorer, predictions, questions) for _ in range(ROUNDS)))


def _cpu_seconds(scorer: Scorer, predictions: Predictions, questions: Sequence[Question]) -> float:
    start = time.process_time()
    scorer(predictions, questions)
    return time.process_time() - start


def report(file: str, questions: int, results: Sequence[Result]) -> bool:
    """Print one file's table; True where ours is fast enough and its totals are the published ones."""
    mine, reference = results[0], results[1]
    print(f"\n{file}\n{'':28}{'EM':>19}{'F1':>19}{'CPU s':>9}{'us/question':>13}{'qa-eval is':>14}")
    for result in results:
        faster = f"{result.seconds / mine.seconds:.1f} x faster" if result is not mine else ""
        print(
            f"{result.name:28}{result.exact_match:19.14f}{result.f1:19.14f}{result.seconds:9.3f}"
            f"{result.seconds / questions * 1e6:13.1f}{faster:>14}"
        )
    exact = (mine.exact_match, mine.f1) == (reference.exact_match, reference.f1) == PUBLISHED[file]
    fast = reference.seconds >= FASTER * mine.seconds
    print(f"totals {'identical to' if exact else 'DIFFER FROM'} the plain definitions and the published ones")
    if not fast:
        print(f"TOO SLOW: not {FASTER} times as fast as the plain definitions")
    return exact and fast


def main() -> int:
    """Measure both prediction files."""
    folder = data_folder()
    questions = read_questions(folder / "dev-v1.1.json")
    print(f"{len(questions):,} questions, Python {platform.python_version()}, best of {ROUNDS} rounds, one core")
    held = []
    for file in PUBLISHED:
        predictions = json.loads((folder / "predictions" / file).read_text(encoding="utf-8"))
        held.append(report(file, len(questions), list(measure(predictions, questions))))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
