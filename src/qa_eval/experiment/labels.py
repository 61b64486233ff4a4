"""People's labels of answers: which answers to show them, what they get to see, and what they write.

Answers are drawn at random within each of the judge's verdicts, so that rare verdicts are labelled too; the estimates
allow for it. People see the question, its context and references, and the answer: neither the system nor the verdict.
"""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_eval.errors import InputError
from qa_eval.experiment.answers import Answer

COLUMNS = ("answer_id", "question", "context", "references", "answer", "label", "annotator")
PEOPLE = "people"
"""The annotator where none is named."""


@dataclass(frozen=True, slots=True)
class Label:
    """What one person says of one answer."""

    answer: int
    """The answer's number in the journal."""
    metric: str
    label: str
    annotator: str = PEOPLE


def settled(labels: Iterable[Label], metric: str) -> dict[int, str]:
    """The label of each answer, by its number: the one that most annotators give, of equal ones the first by name."""
    given: dict[int, Counter[str]] = {}
    for each in labels:
        if each.metric == metric:
            given.setdefault(each.answer, Counter())[each.label] += 1
    return {number: min(counts, key=lambda label: (-counts[label], label)) for number, counts in given.items()}


def draw(answers: Sequence[Answer], metric: str, count: int, seed: int = 0) -> list[Answer]:
    """A random sample of judged answers, stratified by system and verdict, in random order.

    Args:
        answers: Of any systems.
        metric: The judge's name.
        count: How many in all; each stratum gets its share, and at least two where it has them.
        seed: Of the draw.
    """
    dice = random.Random(seed)  # noqa: S311
    strata: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        score = answer.find_score(metric)
        if score is not None and score.value is not None and answer.reply.outcome.is_answer:
            strata.setdefault((answer.system, str(score.label)), []).append(answer)
    total = sum(map(len, strata.values()))
    drawn = [
        answer
        for key in sorted(strata)
        for answer in dice.sample(strata[key], min(len(strata[key]), max(2, round(count * len(strata[key]) / total))))
    ]
    dice.shuffle(drawn)
    return drawn[:count] if count >= 2 * len(strata) else drawn


def as_csv(answers: Iterable[Answer]) -> str:
    """The sheet that people fill in: the column `label` is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for answer in answers:
        example = answer.example
        references = "\n".join(dict.fromkeys(example.references))
        writer.writerow((answer.seq, example.question, example.context, references, answer.reply.text, "", ""))
    return text.getvalue()


def read_csv(path: Path, metric: str, choices: Sequence[str], answers: Mapping[int, Answer]) -> list[Label]:
    """The labels in a sheet; rows without one are left out.

    Args:
        path: The sheet.
        metric: The judge's name.
        choices: The labels that there are.
        answers: The run's answers, by number.

    Raises:
        InputError: The file cannot be read, a column is missing, a label is none of the choices, or a row is not of
            this run.
    """
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(keepends=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "not a CSV file in UTF-8"
        raise InputError(f"The labels {path} cannot be read ({reason}): check the path.") from None
    missing = [name for name in ("answer_id", "label") if rows and name not in rows[0]]
    if missing or not rows:
        what = f"has no column {missing[0]}" if missing else "is empty"
        raise InputError(f"{path} {what}: `qa-eval label export` writes the sheet to fill in.")
    return [
        _label(f"{path}: row {number}", row, metric, choices, answers)
        for number, row in enumerate(rows, 2)
        if (row["label"] or "").strip()
    ]


def _label(
    place: str, row: Mapping[str, str], metric: str, choices: Sequence[str], answers: Mapping[int, Answer]
) -> Label:
    label = row["label"].strip()
    if label not in choices:
        raise InputError(f"{place}: the label {label!r} is none of {', '.join(choices)}: correct it.")
    number = row["answer_id"] or ""
    answer = answers.get(int(number)) if number.isdecimal() else None
    if answer is None or ("answer" in row and row["answer"] != answer.reply.text):
        raise InputError(
            f"{place} is no answer of this run: import the labels into the run that they were exported of."
        )
    return Label(answer.seq, metric, label, (row.get("annotator") or "").strip() or PEOPLE)
