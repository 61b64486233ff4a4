"""Reading the servers' log files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 65536


def last_lines(path: Path, count: int, end: int | None = None) -> list[str]:
    """The last lines of a log, of its last 64 KiB.

    Args:
        path: The log.
        count: The number of lines.
        end: The position in bytes before which to read; by default the end of the file.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) if end is None else end
        start = file.seek(max(0, size - _MAX_BYTES))
        text = file.read(size - start).decode(errors="replace")
    return text.splitlines()[-count:] if count else []
