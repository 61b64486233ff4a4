"""Official SQuAD JSON, v1.1 and v2.0, checked as a whole before anything leaves this room; the bundled samples too.

The schema is the official one (Rajpurkar et al., 2016 and 2018); each question may carry two fields of our own:
`accepted`, references that are no spans of the context, and `metadata`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa_eval.data.difficulty import derive_difficulty
from qa_eval.data.examples import Difficulty
from qa_eval.data.identity import content_text, digest
from qa_eval.data.sources.base import Draft, Found, Kind, Request, Source, reading, source_name
from qa_eval.errors import DatasetError, InputError

SAMPLE = "sample"
BUNDLED: Final = {
    SAMPLE: "qa-eval-sample",
    "qa-eval-sample": "qa-eval-sample",
    "sample-free": "qa-eval-free-sample",
    "qa-eval-free-sample": "qa-eval-free-sample",
}
"""The stems of the bundled samples, by what the user may call them."""


class _Answer(BaseModel):
    text: str
    answer_start: int = Field(ge=0)


class _Metadata(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, str | int | float | bool | None]

    source: str | None = None
    difficulty: Difficulty | None = None


class _Question(BaseModel):
    id: str = Field(min_length=1)
    question: str
    answers: list[_Answer]
    accepted: list[str] = []
    is_impossible: bool = False
    metadata: _Metadata = _Metadata()

    @model_validator(mode="after")
    def _answerable(self) -> _Question:
        if not self.question.strip():
            raise ValueError("the question is blank")
        if not self.is_impossible and not self.answers and not self.accepted:
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


def squad_source(path: Path, raw: bytes, *, stem: str | None = None) -> Source:
    """The questions of an official SQuAD JSON file.

    Args:
        path: Where the file is; names it in messages.
        raw: Its content.
        stem: The dataset's own name, where it is not the file's.

    Raises:
        DatasetError: It is not SQuAD; the first broken question is named by its position.
    """
    content = _parse(path, raw)
    source = source_name(path)
    questions = list(_questions(content))
    impossible = any(question.is_impossible for *_, question in questions)

    def read(positions: Sequence[int] | None = None) -> Iterator[Found]:
        for position in range(len(questions)) if positions is None else positions:
            yield _found(position, *questions[position], source)

    return Source(
        label=str(path),
        stem=stem or path.stem,
        read=read,
        unit="question",
        version="2.0" if impossible or str(content.version or "").lower().endswith("2.0") else "1.1",
    )


def open_bundled(request: Request) -> Source:
    """A bundled sample."""
    _no_columns(request)
    path = bundled_path(BUNDLED[request.address])
    with reading(path):
        return squad_source(path, path.read_bytes())


def open_squad(request: Request, raw: bytes) -> Source:
    """A SQuAD file whose content is known."""
    _no_columns(request)
    return squad_source(request.path, raw)


def bundled_path(stem: str) -> Path:
    """Where a bundled sample is: in the installed package, or in the checkout's `datasets/`."""
    packaged = Path(str(resources.files("qa_eval.data"))) / f"{stem}.json"
    return packaged if packaged.exists() else Path(__file__).parents[4] / "datasets" / f"{stem}.json"


def _no_columns(request: Request) -> None:
    if request.columns is not None:
        raise InputError(f"`columns` cannot be given for {request.address}: SQuAD files have fixed fields.")


def _parse(path: Path, raw: bytes) -> _SquadFile:
    try:
        return _SquadFile.model_validate_json(raw)
    except ValidationError as error:
        raise DatasetError(_explain(path, error.errors(include_url=False, include_input=False)[0])) from None


def _explain(path: Path, first: Any) -> str:
    if first["type"] == "json_invalid":
        return f"{path} is not JSON ({first['ctx']['error']}): give a SQuAD file, or a JSON list of objects."
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    what = first["msg"].removeprefix("Value error, ")
    place = f"at {where}: " if where else ""
    return (
        f"{path} is not a SQuAD file ({place}{what}): it needs data[].paragraphs[].qas[] with id, question and "
        "answers; other questions go in a JSON list of objects."
    )


def _questions(content: _SquadFile) -> Iterator[tuple[_Article, _Paragraph, _Question]]:
    for article in content.data:
        for paragraph in article.paragraphs:
            for question in paragraph.qas:
                yield article, paragraph, question


def _found(position: int, article: _Article, paragraph: _Paragraph, question: _Question, source: str) -> Found:
    spans = (answer.text for answer in question.answers)
    references = () if question.is_impossible else (*spans, *question.accepted)
    own = question.metadata
    difficulty = own.difficulty or derive_difficulty(question.question, paragraph.context, references)
    metadata = {**own.__pydantic_extra__, "difficulty": difficulty, "source": own.source or source}
    content = (question.question, paragraph.context, references, article.title, metadata)
    return Found(
        position + 1, Draft(question.id, *content), digest(content_text(*content)), unanswerable=question.is_impossible
    )


KIND = Kind(BUNDLED.__contains__, open_bundled)
"""The bundled samples; SQuAD files are found among the `.json` files."""
