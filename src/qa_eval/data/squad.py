"""SQuAD files in: official JSON, v1.1 and v2.0, checked as a whole before anything leaves this room.

The schema is the official one (Rajpurkar et al., 2016 and 2018); each question may carry our own `metadata`
with `source` and `difficulty`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from qa_eval.data.difficulty import derive_difficulty
from qa_eval.data.examples import Difficulty, Example, SquadVersion
from qa_eval.errors import DatasetError


class _Answer(BaseModel):
    text: str
    answer_start: int = Field(ge=0)


class _Metadata(BaseModel):
    source: str | None = None
    difficulty: Difficulty | None = None


class _Question(BaseModel):
    id: str = Field(min_length=1)
    question: str
    answers: list[_Answer]
    is_impossible: bool = False
    metadata: _Metadata = _Metadata()

    @model_validator(mode="after")
    def _answerable(self) -> _Question:
        if not self.question.strip():
            raise ValueError("the question is blank")
        if not self.is_impossible and not self.answers:
            raise ValueError("an answerable question has no answers")
        return self


class _Paragraph(BaseModel):
    context: str = Field(min_length=1)
    qas: list[_Question]


class _Article(BaseModel):
    title: str
    paragraphs: list[_Paragraph]


class _SquadFile(BaseModel):
    version: str | None = None
    data: list[_Article]


def read_squad(path: Path, *, source: str) -> tuple[SquadVersion, tuple[Example, ...]]:
    """Read an official SQuAD JSON file.

    Args:
        path: The file.
        source: What `Example.source` says where the file itself does not.

    Returns:
        The version of the official script that scores it, and all examples in the file's order.

    Raises:
        DatasetError: The file is missing, not JSON, not SQuAD or empty; the first broken example is named by
            its position.
    """
    content = _parse(path)
    examples = tuple(_examples(content, source))
    if not examples:
        raise DatasetError(f"{path} holds no questions: give a SQuAD file with at least one.")
    _check_unique(path, examples)
    impossible = any(question.is_impossible for *_, question in _questions(content))
    return ("2.0" if impossible or str(content.version or "").lower().endswith("2.0") else "1.1"), examples


def _parse(path: Path) -> _SquadFile:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(
            f"There is no dataset file {path}: give the path of a SQuAD JSON file, or `sample` for the bundled one."
        ) from None
    except OSError as error:
        raise DatasetError(f"The dataset {path} cannot be read ({error.strerror}): check the path.") from None
    if not raw.strip():
        raise DatasetError(f"{path} is empty: give a SQuAD JSON file with at least one question.")
    try:
        return _SquadFile.model_validate_json(raw)
    except ValidationError as error:
        raise DatasetError(_explain(path, error.errors(include_url=False, include_input=False)[0])) from None


def _explain(path: Path, first: Any) -> str:
    if first["type"] == "json_invalid":
        reason = first["ctx"]["error"]
        return f"{path} is not JSON ({reason}): give a SQuAD file in the official JSON format."
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    what = first["msg"].removeprefix("Value error, ")
    place = f"at {where}: " if where else ""
    return (
        f"{path} is not a SQuAD file ({place}{what}): it needs data[].paragraphs[].qas[] with id, question and answers."
    )


def _questions(content: _SquadFile) -> list[tuple[_Article, _Paragraph, _Question]]:
    return [
        (article, paragraph, question)
        for article in content.data
        for paragraph in article.paragraphs
        for question in paragraph.qas
    ]


def _examples(content: _SquadFile, source: str) -> list[Example]:
    examples = []
    for article, paragraph, question in _questions(content):
        references = () if question.is_impossible else tuple(answer.text for answer in question.answers)
        difficulty = question.metadata.difficulty or derive_difficulty(question.question, paragraph.context, references)
        examples.append(
            Example(
                id=question.id,
                question=question.question,
                context=paragraph.context,
                references=references,
                group=article.title,
                metadata={"difficulty": difficulty, "source": question.metadata.source or source},
            )
        )
    return examples


def _check_unique(path: Path, examples: tuple[Example, ...]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DatasetError(f"{path} holds the id {example.id!r} twice: ids must be unique.")
        seen.add(example.id)
