"""Questions as rows: JSON Lines, Parquet and CSV files with the hub's columns, and the hub itself.

A row is `id, title, context, question, answers{text, answer_start}`; without answers it is unanswerable (SQuAD v2.0).
In CSV, `answers` is JSON.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, field_validator, model_validator

from qa_eval.data.difficulty import derive_difficulty
from qa_eval.data.examples import Example, SquadVersion
from qa_eval.errors import DatasetError

HUB = {
    "squad": ("rajpurkar/squad", "7b6d24c440a36b6815f21b70d25016731768db1f"),
    "squad_v2": ("rajpurkar/squad_v2", "3ffb306f725f7d2ce8394bc1873b24868140c412"),
}
"""The hub's datasets by the name that the user gives: repository and pinned revision."""

_HUB_TIMEOUT_S = 10.0
ROW_FILES = (".jsonl", ".parquet", ".csv")


class _Answers(BaseModel):
    text: list[str]
    answer_start: list[int] = []


class _Row(BaseModel):
    id: str
    title: str = ""
    context: str
    question: str
    answers: _Answers

    @field_validator("answers", mode="before")
    @classmethod
    def _from_csv(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _filled(self) -> _Row:
        blank = [name for name in ("id", "context", "question") if not getattr(self, name).strip()]
        if blank:
            raise ValueError(f"{blank[0]} is blank")
        return self


def read_rows(path: Path, *, source: str) -> tuple[SquadVersion, tuple[Example, ...]]:
    """Read a JSON Lines, Parquet or CSV file; see `squad.read_squad` for what is returned and raised."""
    readers = {".jsonl": _json_lines, ".parquet": _parquet, ".csv": _csv}
    try:
        return _examples(readers[path.suffix](path), f"{path}", source)
    except FileNotFoundError:
        raise DatasetError(f"There is no dataset file {path}: check the path.") from None
    except OSError as error:
        raise DatasetError(f"The dataset {path} cannot be read ({error}): check the file.") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is not UTF-8 text: save it as UTF-8.") from None


def read_hub(name: str) -> tuple[SquadVersion, tuple[Example, ...]]:
    """The development set of SQuAD from the Hugging Face hub, at its pinned revision; cached by `datasets`.

    Raises:
        DatasetError: The hub cannot be reached and nothing is cached.
    """
    from datasets import load_dataset  # type: ignore[attr-defined]  # mypy takes our folder of that name

    repository, revision = HUB[name]
    try:
        with _cache_only_if_offline(repository, revision):
            rows = load_dataset(repository, split="validation", revision=revision)
    except Exception as error:
        # The library raises what its network stack raises; whichever it is, the remedy is the same.
        raise DatasetError(
            f"{repository} cannot be had from the Hugging Face hub ({type(error).__name__}): go online once, or give "
            "`--dataset sample` for the bundled questions or the path of a SQuAD file."
        ) from error
    return _examples(((f"row {place}", row) for place, row in enumerate(rows)), repository, "squad")


@contextmanager
def _cache_only_if_offline(repository: str, revision: str) -> Iterator[None]:
    """Without the hub, let the libraries look into their cache at once, instead of trying for half a minute."""
    import datasets.config
    import huggingface_hub
    import huggingface_hub.constants

    was = huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        huggingface_hub.HfApi().dataset_info(repository, revision=revision, timeout=_HUB_TIMEOUT_S)
        offline = was
    except Exception:
        offline = True
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = was


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except ValueError as error:
                    raise DatasetError(f"{path} is not JSON Lines (line {number}: {error}): mend that line.") from None


def _csv(path: Path) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(10_000_000)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            yield f"line {reader.line_num}", row


def _parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid:
        raise DatasetError(f"{path} is not a Parquet file: check the file.") from None
    for place, row in enumerate(table.to_pylist()):
        yield f"row {place}", row


def _examples(rows: Iterable[tuple[str, Any]], name: str, source: str) -> tuple[SquadVersion, tuple[Example, ...]]:
    examples: dict[str, Example] = {}
    for place, row in rows:
        example = _example(row, name, place, source)
        if example.id in examples:
            raise DatasetError(f"{name} holds the id {example.id!r} twice ({place}): ids must be unique.")
        examples[example.id] = example
    if not examples:
        raise DatasetError(f"{name} holds no questions: give a file with at least one.")
    version: SquadVersion = "1.1" if all(example.references for example in examples.values()) else "2.0"
    return version, tuple(examples.values())


def _example(row: Any, name: str, place: str, source: str) -> Example:
    try:
        checked = _Row.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        raise DatasetError(
            f"{name} is broken at {place} ({f'{where}: ' if where else ''}{what}): "
            "a row needs id, title, context, question and answers{text, answer_start}."
        ) from None
    references = tuple(checked.answers.text)
    return Example(
        id=checked.id,
        question=checked.question,
        context=checked.context,
        references=references,
        group=checked.title,
        metadata={
            "difficulty": derive_difficulty(checked.question, checked.context, references),
            "source": source,
        },
    )
