"""Becomes a program that a Python package brings along: `python -P native.py PACKAGE PROGRAM ARGUMENTS...`.

Run by the interpreter of the package's own environment, so it imports nothing of ours. Where the package has no
build for this machine, the program is looked for on the PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def find_program(package: str, program: str) -> str | None:
    """The program's path; the package is not imported, because it may want packages that are not here."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    found = (path for folder in folders or () for path in Path(folder).rglob(program) if path.is_file())
    return next(map(str, found), None) or shutil.which(program)


def main() -> None:
    """Become the program."""
    package, program, *arguments = sys.argv[1:]
    path = find_program(package, program)
    if path is None:
        sys.exit(
            f"The package {package} has no {program} for this machine: install {program} so that it is on the PATH."
        )
    os.execv(path, [path, *arguments])


if __name__ == "__main__":
    main()
