"""LiteLLM's database client: Prisma for Python with its engines, beside LiteLLM's environment and not part of it.

In: the environment `litellm`, whose schema and Python packages the client needs. Out: an environment of its own, and
the variables with which LiteLLM finds the client, Prisma's command and its two engines (queries, migrations).

Prisma's engines are native programs, which only Prisma's own host offers. Where it cannot be reached, or the programs
do not run, npm's builds of the same engines in WebAssembly stand behind the programs' interfaces:
`node/query_engine.mjs` for queries, and for migrations the JavaScript engine of Prisma 6, configured by
`node/prisma.config.mjs`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from qa_eval.blueprint.versions import server_lock
from qa_eval.errors import StackError
from qa_eval.stack import processes
from qa_eval.stack.environments import OnProgress, ServerEnvironment, no_room

Engines = Literal["native", "WebAssembly"]

NODE_FILES: Final = Path(str(resources.files("qa_eval.stack"))) / "node"
_NATIVE_COMMAND: Final = """\
#!/bin/sh
node=$(dirname "$(dirname "$0")")
exec node "$node/node_modules/prisma/build/index.js" "$@"
"""
_COMMAND: Final = """\
#!/bin/sh
node=$(dirname "$(dirname "$0")")
case "$1 $2" in
  "--version ") exit 0 ;;  # LiteLLM's first call, which would download what is missing
  "migrate diff") echo "prisma migrate diff needs Prisma's native engines, which are not here" >&2; exit 1 ;;
esac
exec node "$node/node_modules/prisma-6/build/index.js" "$@" --config "$node/prisma.config.mjs"
"""
_TYPES_AT_RUN_TIME: Final = '''\
"""The generated types, of which only a few are used at run time: type checkers read types.pyi."""

from typing import Any

from prisma import _types


def __getattr__(name: str) -> Any:
    return getattr(_types, name, Any)
'''
_ENGINES: Final = ("query-engine", "schema-engine")
_OLDEST_NODE: Final = 20
_DOWNLOAD_TIMEOUT_S: Final = 30.0
"""Time in which the native engines, about 15 MB, must be downloaded."""
_NO_NETWORK: Final = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENETUNREACH")
_NO_ROOM: Final = re.compile(r"ENOSPC|EDQUOT")
_LOCAL_ONLY: Final = {"CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1"}
"""Prisma's command looks for updates, and reports its use, without these."""


def environment(litellm: ServerEnvironment, title: str, megabytes: int) -> ServerEnvironment:
    """The environment of the client for one environment of LiteLLM, which is built first."""

    def finish(prisma: ServerEnvironment, on_progress: OnProgress) -> None:
        _finish(prisma, litellm, on_progress)

    inputs = (litellm.lock, Path(__file__), *sorted(NODE_FILES.iterdir()))
    return ServerEnvironment("prisma", title, server_lock("prisma"), megabytes, inputs, finish)


def require_node() -> None:
    """Require Node.js, on which Prisma's command runs.

    Raises:
        StackError: It is missing or too old.
    """
    program = shutil.which("node")
    output = "" if program is None else _output([program, "--version"])
    found = re.match(r"v(\d+)\.", output)
    if found is None or int(found[1]) < _OLDEST_NODE or shutil.which("npm") is None:
        here = f"here is {output.strip()}" if found and int(found[1]) < _OLDEST_NODE else "it is missing"
        raise StackError(
            f"The gateway's database needs Node.js {_OLDEST_NODE} or newer with npm, and {here}: install it, or leave "
            "the database out with --no-database."
        )


def engines(prisma: ServerEnvironment) -> Engines:
    """Which engines a built environment has."""
    return "WebAssembly" if (programs(prisma) / "query-engine").resolve().suffix == ".mjs" else "native"


def programs(prisma: ServerEnvironment) -> Path:
    """The folder of Prisma's command and its engines, for LiteLLM's PATH."""
    return _node(prisma) / "programs"


def settings(prisma: ServerEnvironment) -> dict[str, str]:
    """The environment variables with which LiteLLM uses the client."""
    return {**_engine_settings(prisma), "PYTHONPATH": str(prisma.packages)}


def _engine_settings(prisma: ServerEnvironment) -> dict[str, str]:
    return {
        **_LOCAL_ONLY,
        "PRISMA_QUERY_ENGINE_BINARY": str(programs(prisma) / "query-engine"),
        "PRISMA_SCHEMA_ENGINE_BINARY": str(programs(prisma) / "schema-engine"),
        # Prisma's command downloads this unless a file is named; its Python client never uses it.
        "PRISMA_QUERY_ENGINE_LIBRARY": str(_node(prisma) / "no_library.cjs"),
    }


def _finish(prisma: ServerEnvironment, litellm: ServerEnvironment, on_progress: OnProgress) -> None:
    """The steps of the build after the Python package."""
    require_node()
    node = _node(prisma)
    shutil.copytree(NODE_FILES, node)
    on_progress("Installing Prisma's npm packages ...")
    _npm_ci(prisma)
    on_progress("Downloading Prisma's native engines ...")
    _write_programs(prisma, _download_native_engines(prisma))
    on_progress(f"Generating the database client for Prisma's {engines(prisma)} engines ...")
    _generate(prisma, litellm)


def _npm_ci(prisma: ServerEnvironment) -> None:
    # npm's own settings are the user's: registry, proxy, cache.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress"]
    done = _run(prisma, command, {"NO_UPDATE_NOTIFIER": "1"})
    if not done.returncode:
        return
    if _NO_ROOM.search(done.stderr):
        raise no_room(prisma)
    if found := _NO_NETWORK.search(done.stderr):
        raise StackError(
            f"The {prisma.title} environment cannot be built without the npm registry, which cannot be reached "
            f"({found[0]}); it is needed for the first run only."
        )
    raise _failed(prisma, "npm", done)


def _download_native_engines(prisma: ServerEnvironment) -> dict[str, Path]:
    """Download the native engines by Prisma's own script; return them by name, if both are there and run here."""
    folder = _node(prisma) / "node_modules" / "@prisma" / "engines"
    script = folder / "dist" / "scripts" / "postinstall.js"
    try:
        _run(prisma, ["node", str(script)], {"PRISMA_CLI_QUERY_ENGINE_TYPE": "binary"}, timeout=_DOWNLOAD_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return {}
    found = {name: path for name in _ENGINES for path in folder.glob(f"{name}-*")}
    return found if len(found) == len(_ENGINES) and all(map(_runs, found.values())) else {}


def _generate(prisma: ServerEnvironment, litellm: ServerEnvironment) -> None:
    """Generate the Python client from LiteLLM's schema, and compile it."""
    schema = litellm.packages / "litellm_proxy_extras" / "schema.prisma"
    variables = {
        **_engine_settings(prisma),
        "PATH": os.pathsep.join([str(prisma.folder / "bin"), os.environ["PATH"]]),  # the generator's command
        "PYTHONPATH": str(litellm.packages),
    }
    command = _node(prisma) / "node_modules" / "prisma" / "build" / "index.js"
    done = _run(prisma, ["node", str(command), "generate", f"--schema={schema}"], variables)
    if done.returncode:
        raise _failed(prisma, "prisma generate", done)
    # 30,000 classes for type checkers, which would take 5 s and 250 MB at each start.
    types = prisma.packages / "prisma" / "types.py"
    types.rename(types.with_suffix(".pyi"))
    types.write_text(_TYPES_AT_RUN_TIME, encoding="utf-8")
    _run(prisma, [str(prisma.python), "-m", "compileall", "-q", str(prisma.packages / "prisma")], {})


def _write_programs(prisma: ServerEnvironment, native: Mapping[str, Path]) -> None:
    """Write the folder of the programs that LiteLLM starts: the engines, and `prisma` for migrations."""
    folder = programs(prisma)
    folder.mkdir()
    stand_in = _node(prisma) / "query_engine.mjs"
    stand_in.chmod(0o755)
    for name in _ENGINES:
        (folder / name).symlink_to(native.get(name, stand_in))
    command = folder / "prisma"
    command.write_text(_NATIVE_COMMAND if native else _COMMAND, encoding="utf-8")
    command.chmod(0o755)


def _node(prisma: ServerEnvironment) -> Path:
    return prisma.folder / "node"


def _run(
    prisma: ServerEnvironment, command: Sequence[str], variables: Mapping[str, str], timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program in the build's folder; a later build stops it if this process is killed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PRISMA_QUERY"))}
    return subprocess.run(
        command,
        env={**kept, **_LOCAL_ONLY, **variables, processes.MARK: str(prisma.folder)},
        cwd=_node(prisma),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def _runs(program: Path) -> bool:
    return bool(_output([str(program), "--version"]))


def _output(command: Sequence[str]) -> str:
    """The output of a program; empty where it does not run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _failed(prisma: ServerEnvironment, program: str, done: subprocess.CompletedProcess[str]) -> StackError:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    reason = " ".join(lines[:3]).rstrip(".")
    return StackError(f"The {prisma.title} environment cannot be built: {program} failed ({reason}).")
