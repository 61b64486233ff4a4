"""The archive of the canary's function: the library, and of its dependencies what the canary needs.

In: a processor architecture. Out: a zip file in the cache, built by uv from a hash-pinned lock file (all dependencies
of the library have three times the size that Lambda takes). Its name has a digest of all that is in it, so that a
change builds another one.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from qa_eval.data.sources.squad import BUNDLED, bundled_path
from qa_eval.errors import DeploymentError
from qa_eval.paths import cache_dir

PYTHON: Final = "3.14"
"""The function's runtime."""
LIMIT: Final = 250 * 1024 * 1024
"""Bytes of a function's unpacked archive, at most."""
PLATFORMS: Final = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
"""What uv calls the platform of a Lambda function on each architecture."""
_LEFT_OUT: Final = frozenset({"__pycache__", "tests", "bin"})
"""Folders of the dependencies that nothing imports."""
_BEGINNING: Final = (1980, 1, 1, 0, 0, 0)


def archive(architecture: str, python: str = PYTHON) -> Path:
    """Where the archive is, or will be.

    Args:
        architecture: `x86_64` or `arm64`.
        python: The version of Python that runs it.
    """
    digest = hashlib.sha256(f"{architecture} {python}".encode())
    digest.update(_lock().read_bytes())
    for name, path in _own_files():
        digest.update(name.encode() + path.read_bytes())
    return cache_dir().absolute() / "functions" / f"canary-{architecture}-{python}-{digest.hexdigest()[:16]}.zip"


def find(architecture: str) -> Path:
    """The archive, which was built before.

    Raises:
        DeploymentError: It was not.
    """
    found = archive(architecture)
    if not found.exists():
        raise DeploymentError(
            "The canary's function is not packed yet: run `qa-eval infra diff` or `qa-eval infra deploy`, which pack "
            "it with uv from the package registry, or set `canary: false`."
        )
    return found


def build(architecture: str, on_progress: Callable[[str], None], python: str = PYTHON) -> Path:
    """The archive, built unless it is there.

    Raises:
        DeploymentError: uv is missing or fails, or the archive is too large for Lambda.
    """
    wanted = archive(architecture, python)
    if wanted.exists():
        return wanted
    on_progress("Packing the canary's function (about 70 MB to download) ...")
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wanted.parent) as folder:
            _install(Path(folder) / "installed", PLATFORMS[architecture], python)
            _write(Path(folder) / "archive.zip", Path(folder) / "installed")
            for outdated in wanted.parent.glob(f"canary-{architecture}-{python}-*.zip"):
                outdated.unlink()
            (Path(folder) / "archive.zip").replace(wanted)
    except OSError as error:
        raise DeploymentError(
            f"The canary's function cannot be packed in {wanted.parent} ({error.strerror}): set QA_EVAL_CACHE_DIR to "
            "another folder."
        ) from None
    return wanted


def _lock() -> Path:
    return Path(str(resources.files("qa_eval.deployment"))) / "canary.txt"


def _own_files() -> Iterator[tuple[str, Path]]:
    """The library's files with their names in the archive, in a fixed order."""
    package = Path(str(resources.files("qa_eval")))
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(package.parent).as_posix(), path
    for path in {bundled_path(stem): None for stem in BUNDLED.values()}:
        if path.parent != package / "data":  # in a clone, which has it in another folder
            yield f"qa_eval/data/{path.name}", path


def _install(folder: Path, platform: str, python: str) -> None:
    options = ["--target", str(folder), "--python-platform", platform, "--python-version", python]
    checks = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(_lock())]
    command = [_uv(), "pip", "install", "--quiet", *options, *checks]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
    if done.returncode:
        reason = " ".join(done.stderr.partition("error: ")[2].split()) or f"exit code {done.returncode}"
        raise DeploymentError(f"The canary's function cannot be packed: uv says {reason.rstrip('.')}.")


def _uv() -> str:
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise DeploymentError("Packing the canary's function needs uv: pip install 'qa-eval[infra]'.")
    return found


def _write(target: Path, installed: Path) -> None:
    """Pack all files; the same files become the same archive, byte for byte."""
    installed_files = (
        (path.relative_to(installed).as_posix(), path)
        for path in sorted(installed.rglob("*"))
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(installed).parts)
    )
    size = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in (*installed_files, *_own_files()):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = path.read_bytes()
            size += len(content)
            packed.writestr(entry, content)
    if size > LIMIT:
        raise DeploymentError(
            f"The canary's function has {size:,} bytes and Lambda takes {LIMIT:,}: shorten the lock file canary.txt."
        )
