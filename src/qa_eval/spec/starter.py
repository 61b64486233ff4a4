"""The files that `qa-eval init` writes: they are in the folder `starter_files` beside this file."""

from __future__ import annotations

from pathlib import Path

from qa_eval.errors import InputError
from qa_eval.spec.schema import packaged_schema

_FILES = Path(__file__).with_name("starter_files")


def write_starter(folder: Path) -> list[Path]:
    """Write the starter files.

    Returns:
        The files, in the order in which they are worth reading.

    Raises:
        InputError: One of them exists already, or the folder cannot be written.
    """
    contents = {folder / path.relative_to(_FILES): path for path in sorted(_FILES.rglob("*.*"))}
    contents[folder / packaged_schema().name] = packaged_schema()
    present = next((path for path in sorted(contents, key=_worth_reading) if path.exists()), None)
    if present is not None:
        raise InputError(f"{present} exists already: give another folder, or move it away.")
    try:
        for path, source in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): give another folder.") from None
    return sorted(contents, key=_worth_reading)


def _worth_reading(path: Path) -> tuple[int, str]:
    return (0 if path.name == "qa-eval.yaml" else 2 if path.suffix == ".json" else 1), str(path)
