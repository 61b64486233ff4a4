"""What qa-eval has on this machine's disk, and how it goes away. See `paths` for the two folders."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qa_eval.errors import InputError
from qa_eval.paths import cache_dir, data_dir


@dataclass(frozen=True)
class Place:
    """A folder with files of qa-eval."""

    folder: Path
    purpose: str
    remedy: str = ""
    """The command that removes it; empty for the cache, which `qa-eval clean` removes."""

    @property
    def megabytes(self) -> float:
        """The size of its files; hard links count once."""
        sizes = {}
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # a server may delete files meanwhile
                found = path.lstat()
                sizes[found.st_dev, found.st_ino] = found.st_size
        return sum(sizes.values()) / 1e6


_CACHE = {
    "environments": "the local servers, with their packages and the model",
    "embeddings": "embeddings of answers and references",
    "functions": "archives of the canary's function",
}


def cached() -> list[Place]:
    """What is in the cache: it is built again when it is needed."""
    return [Place(path, _CACHE.get(path.name, "")) for path in _folders(cache_dir())]


def kept() -> list[Place]:
    """What cannot be built again."""
    known = {
        "stack": ("the local stack's data, keys and logs", "qa-eval stack down --purge"),
        "runs": ("the runs", "qa-eval runs delete RUN"),
    }
    return [Place(path, *known.get(path.name, ("", ""))) for path in _folders(data_dir())]


def remove(folder: Path) -> None:
    """Delete a folder with all that is in it; that it is gone already is no error.

    Raises:
        InputError: Something in it cannot be deleted.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{error.filename} cannot be deleted ({error.strerror}): delete {folder} yourself.") from None


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.absolute().glob("*") if path.is_dir())
