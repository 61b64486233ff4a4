"""Runs a program of a Python package: `python -P native.py PACKAGE PROGRAM ARGUMENTS...`.

The interpreter of the package's own environment runs it, so it imports only the standard library. Where the package
has no build for this machine, it uses the program on the PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path


def find_program(package: str, program: str) -> str | None:
    """The program's path. The package is not imported, because its dependencies may be missing."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    found = (path for folder in folders or () for path in Path(folder).rglob(program) if path.is_file())
    return next(map(str, found), None) or shutil.which(program)


def main() -> None:
    """Replace this process by the program."""
    package, program, *arguments = sys.argv[1:]
    path = find_program(package, program)
    if path is None:
        sys.exit(
            f"The package {package} has no {program} for this machine: install {program} so that it is on the PATH."
        )
    os.execv(path, [path, *arguments])


if __name__ == "__main__":
    main()
