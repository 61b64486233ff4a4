"""What a command prints, kept in text files beside the tests: look at every change of one.

QA_EVAL_UPDATE_SNAPSHOTS=1 python -m pytest tests/cli/test_snapshots.py    # writes them anew
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

UPDATE = "QA_EVAL_UPDATE_SNAPSHOTS"


def in_terminal(show: Callable[[Console], None], width: int, encoding: str = "utf-8") -> str:
    """What is printed in a terminal of this width, without its colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(
        file=file, width=width, force_terminal=True, color_system=None, highlight=False, legacy_windows=False
    )
    show(console)
    file.seek(0)
    return file.read()


def in_pty(*arguments: str, columns: int) -> list[str]:
    """The lines that the command prints in a real terminal of this width, without its colours."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "qa_eval.cli.main", *arguments]
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env={**environment, "TERM": "xterm-256color"}
    )
    os.close(follower)
    chunks = []
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody writes to any more with an error
        while chunk := os.read(leader, 65536):
            chunks.append(chunk)
    os.close(leader)
    process.wait(timeout=60)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(chunks).decode()).splitlines()


def check_snapshot(path: Path, text: str) -> None:
    """The text is that of the file, but for spaces at the ends of lines."""
    found = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    if os.environ.get(UPDATE):
        path.write_text(found, encoding="utf-8")
        return
    assert path.exists(), f"there is no {path.name}: set {UPDATE}=1 to write it, and look at it"
    assert found == path.read_text(encoding="utf-8"), f"{path.name} has changed: look at it, or set {UPDATE}=1"
