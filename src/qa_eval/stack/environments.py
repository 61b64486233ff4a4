"""The servers' environments: one virtual environment each, built by uv from a hash-pinned lock file.

In: a `ServerEnvironment` (name, lock file). Out: its interpreter in the user's cache folder. The folder's name contains
a digest of its sources, the Python version and the machine, so that a change builds a new environment. The last step
of a build writes a marker file; a folder without it is built again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import uv

from qa_eval.errors import StackError
from qa_eval.paths import cache_dir
from qa_eval.stack import processes, state

_COMPLETE: Final = "qa-eval-complete"
_NO_ROOM: Final = re.compile(r"(\S+?)`?:\s+(?:No\s+space\s+left\s+on\s+device|Disk\s+quota\s+exceeded)")
"""In uv's own words, which it breaks into lines."""
_NO_NETWORK: Final = re.compile(r"error sending request|dns error|connect error|network was disabled|timed out")
_SECONDS_BETWEEN_LINES: Final = 10.0
"""The interval between progress lines of a long download."""

OnProgress = Callable[[str], None]
"""Called with one line for each step; a line that ends in `...` announces what has begun."""


@dataclass(frozen=True)
class ServerEnvironment:
    """The environment of one server; `megabytes` is its size on the disk."""

    name: str
    title: str
    lock: Path
    megabytes: int
    inputs: tuple[Path, ...] = ()
    """The other files that it is built from."""
    finish: Callable[[ServerEnvironment, OnProgress], None] | None = None
    """What its build does after the Python packages are installed."""

    @property
    def folder(self) -> Path:
        """Its folder, which may not exist yet."""
        contents = [path.read_text(encoding="utf-8") for path in (self.lock, *self.inputs)]
        sources = [*contents, platform.python_version(), sysconfig.get_platform()]
        digest = hashlib.sha256("\n".join(sources).encode()).hexdigest()
        return cache_dir().absolute() / "environments" / f"{self.name}-{digest[:12]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> Path:
        """The folder of its Python packages."""
        return self.folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"

    @property
    def is_complete(self) -> bool:
        """Whether its build was completed, and the interpreter that it links to is still installed."""
        return (self.folder / _COMPLETE).exists() and self.python.exists()


def ensure(environment: ServerEnvironment, on_progress: OnProgress) -> None:
    """Build the environment unless it is complete, after removing what a killed build left.

    Raises:
        StackError: The disk is full, the network is unavailable, or uv fails for another reason.
    """
    if environment.is_complete:
        return
    folder = environment.folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"Another qa-eval command is building the {environment.title} environment; waiting for it ..."
        with state.file_lock(folder.with_suffix(".lock"), on_progress, waiting):
            if not environment.is_complete:
                _build(environment, on_progress)
    except OSError as error:
        if state.is_disk_full(error):
            raise no_room(environment) from error
        raise StackError(
            f"The {environment.title} environment cannot be built in {folder} ({error.strerror}): set "
            "QA_EVAL_CACHE_DIR to another folder."
        ) from error


def remove_outdated(environment: ServerEnvironment) -> None:
    """Remove older environments of the same server from which no process runs."""
    folder = environment.folder
    if not environment.is_complete:
        return
    others = [p for p in folder.parent.glob(f"{environment.name}-*") if p.is_dir() and p != folder]
    if others:
        programs = _running_programs()
        for other in others:
            if not any(program.startswith(f"{other}{os.sep}") for program in programs):
                _remove(other)
                other.with_suffix(".lock").unlink(missing_ok=True)


def _build(environment: ServerEnvironment, on_progress: OnProgress) -> None:
    folder = environment.folder
    processes.stop({str(folder): None})  # the uv process of a killed command may still write there
    _remove(folder)
    _require_room(environment)
    on_progress(f"Building the {environment.title} environment (first run only, about {environment.megabytes} MB) ...")
    began = time.monotonic()
    try:
        _uv(environment, ["venv", "--no-project", "--python", sys.executable, str(folder)], on_progress)
        _uv(
            environment,
            ["pip", "install", "--python", str(environment.python), *_install_options(environment)],
            on_progress,
        )
        if environment.finish:
            environment.finish(environment, on_progress)
        (folder / _COMPLETE).touch()
    except BaseException:
        _remove(folder)
        raise
    on_progress(f"Built the {environment.title} environment in {time.monotonic() - began:.0f} s.")


def _install_options(environment: ServerEnvironment) -> list[str]:
    return ["--require-hashes", "--no-deps", "--compile-bytecode", "-r", str(environment.lock)]


def _uv(environment: ServerEnvironment, arguments: list[str], on_progress: OnProgress) -> None:
    """Run uv; it is stopped when this call is interrupted."""
    process = subprocess.Popen(
        [_find_uv(), *arguments],
        env=_uv_environment(environment),
        cwd=environment.folder.parent,  # not the user's project, whose uv settings would apply
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    with process, process.stderr:
        try:
            output = list(_reported(process.stderr, on_progress))
        except BaseException:
            processes.stop({str(environment.folder): None}, timeout=1)
            raise
    if process.returncode:
        raise _explain(environment, output)


def _find_uv() -> str:
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise StackError("The program uv is missing from its Python package: pip install 'qa-eval[local]'.") from error


def _uv_environment(environment: ServerEnvironment) -> dict[str, str]:
    """The user's environment variables, including registries and proxies, without those of the user's own Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for name in ("CONDA_PREFIX", "UV_PYTHON", "VIRTUAL_ENV"):
        kept.pop(name, None)
    return {**kept, "NO_COLOR": "1", "UV_NO_PROGRESS": "1", processes.MARK: str(environment.folder)}


def _reported(lines: Iterable[str], on_progress: OnProgress) -> Iterable[str]:
    """Yield uv's lines, and call `on_progress` with some of them."""
    last = time.monotonic()
    for line in lines:
        if line.startswith("Installed"):
            on_progress(f"{line.strip()}; compiling them ...")
        elif line.strip().startswith("Download") and time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            on_progress(f"{line.strip()} ...")
            last = time.monotonic()
        yield line


def _explain(environment: ServerEnvironment, output: list[str]) -> StackError:
    """One sentence for an error of uv."""
    text = "".join(output)
    if full := _NO_ROOM.search(text):
        return no_room(environment, at=full[1])
    if _NO_NETWORK.search(text):
        return StackError(
            f"The {environment.title} environment cannot be built without the package registry, which cannot be "
            f"reached ({output[-1].strip().removeprefix('cause: ')}); it is needed for the first run only."
        )
    reason = " ".join(text.partition("error: ")[2].replace("\n  cause: ", ": ").split()).rstrip(".")
    return StackError(f"The {environment.title} environment cannot be built: {reason}.")


def _require_room(environment: ServerEnvironment) -> None:
    if shutil.disk_usage(environment.folder.parent).free < environment.megabytes * 1_000_000:
        raise no_room(environment)


def no_room(environment: ServerEnvironment, at: str | None = None) -> StackError:
    """The sentence about a full disk.

    Args:
        environment: What is built.
        at: The path at which the build failed, where it is known.
    """
    folder = environment.folder.parent
    free = shutil.disk_usage(folder).free // 1_000_000
    if at and not Path(at).is_relative_to(folder):
        return StackError(
            f"uv cannot unpack the {environment.title} environment: the disk of {at} is full; free space "
            "there, or set UV_CACHE_DIR to a folder on another disk."
        )
    return StackError(
        f"There is not enough disk space for the {environment.title} environment in {folder}: it needs "
        f"{environment.megabytes} MB and {free} MB are free; free space, or set QA_EVAL_CACHE_DIR to "
        "a folder on another disk."
    )


def _remove(folder: Path) -> None:
    """Remove an environment, its marker first, so that an interrupted removal leaves an incomplete build."""
    (folder / _COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _running_programs() -> set[str]:
    programs: set[str] = set()
    for process in psutil.process_iter(["cmdline", "exe"]):  # nginx overwrites cmdline
        # Two arguments: a script has its interpreter's name first.
        programs.update([*(process.info["cmdline"] or [])[:2], process.info["exe"] or ""])
    return programs
