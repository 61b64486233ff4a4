"""What every kind of dataset offers to the others: a `Source` of examples, made from a request by a `Kind`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from qa_eval.data.examples import Example, PhoenixOrigin, SquadVersion
from qa_eval.errors import DatasetError
from qa_eval.spec.model import ColumnsSpec

_T = TypeVar("_T")
OFFICIAL_FILE = re.compile(r"(dev|train)-v(1\.1|2\.0)")
"""The names, without their ending, of SQuAD's own files."""


class Draft(NamedTuple):
    """What an example is made from; of a large source, most are checked and never made."""

    id: str
    question: str
    context: str
    references: tuple[str, ...]
    group: str
    """Empty where the data names none."""
    metadata: Mapping[str, Any]

    def example(self) -> Example:
        """The example."""
        return Example(*self)


class Found(NamedTuple):
    """What was found at a place of a source, and checked."""

    place: int
    """Its line, row or element, from 1."""
    draft: Draft
    content: bytes
    """Digest of its content, without the id."""
    unanswerable: bool = False
    """Whether the data says that it has no answer, which makes the dataset one of version 2.0."""


Read = Callable[[Sequence[int] | None], Iterator[Found]]


def pick(items: Iterator[_T], positions: Sequence[int] | None) -> Iterator[_T]:
    """The items at ascending positions, from 0; all of them without positions."""
    if positions is None:
        yield from items
        return
    after = 0
    for position in positions:
        yield from islice(items, position - after, position - after + 1)
        after = position + 1


@dataclass(frozen=True)
class Source:
    """Examples that can be read more than once, so that not all of them need to be kept."""

    label: str
    """How messages name it."""
    stem: str
    """Its own name, from which the dataset's name in Phoenix is made."""
    read: Read
    """All that is in it, or what is at some ascending positions; raises `DatasetError` at the first that is broken."""
    unit: str = "line"
    """What `Found.place` counts."""
    version: SquadVersion | None = None
    """The version, where the source itself says it."""
    notes: tuple[str, ...] = ()
    origin: PhoenixOrigin | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a kind needs to open a source."""

    address: str
    columns: ColumnsSpec | None = None
    phoenix_url: str | None = None
    phoenix_key: str | None = None

    @property
    def path(self) -> Path:
        """The address as a file's path."""
        return Path(self.address)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of dataset."""

    accepts: Callable[[str], bool]
    """Whether an address is of this kind."""
    open: Callable[[Request], Source]
    endings: tuple[str, ...] = ()
    """The endings of its files, if it is one of files."""


def files(open_source: Callable[[Request], Source], *endings: str) -> Kind:
    """The kind of the files with these endings."""
    return Kind(lambda address: Path(address).suffix.lower() in endings, open_source, endings)


def source_name(path: Path) -> str:
    """What the metadata `source` says of a file's examples in the form of SQuAD."""
    return "squad" if OFFICIAL_FILE.fullmatch(path.stem) else path.name


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What can go wrong with any file, as one sentence each.

    Raises:
        DatasetError: The file is missing, a folder, unreadable or not UTF-8.
    """
    try:
        yield
    except FileNotFoundError:
        raise DatasetError(f"There is no dataset file {path}: check the path.") from None
    except IsADirectoryError:
        raise DatasetError(f"{path} is a folder: give the path of a file in it.") from None
    except OSError as error:
        raise DatasetError(f"The dataset {path} cannot be read ({_reason(error)}): check the file.") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path} is not UTF-8 at line {_undecodable(path)}: save it as UTF-8.") from None


def _reason(error: OSError) -> str:
    return error.strerror or (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _undecodable(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1
