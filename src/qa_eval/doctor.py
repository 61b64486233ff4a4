"""Checks of this machine: versions, environments, ports, disk and credentials, each with what to do.

Nothing is changed or sent, and only the presence of a credential is shown. A `problem` prevents an installed part from
working; a `note` is information, or concerns an optional part.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from qa_eval._version import __version__
from qa_eval.errors import QaEvalError
from qa_eval.paths import cache_dir, data_dir

_EXTRAS = {
    "local": "the local stack",
    "infra": "deployment on AWS",
    "similarity": "similarity with sentence-transformers",
    "notebook": "the plots of the notebooks",
    "rouge": "ROUGE-L",
    "phoenix-evals": "evaluators of phoenix.evals",
}
_KEYS = {
    "QA_EVAL_GATEWAY_KEY": "the key of the gateway",
    "PHOENIX_API_KEY": "the key of Phoenix",
}
_OPTIONS = {"postgres": "--postgres", "valkey": "--valkey", "prisma": "--database"}
"""The options of `stack up` that need an environment."""
_OLDEST_NODE = 20
_SPACE_FOR_RUNS_MB = 200


@dataclass(frozen=True)
class DoctorFinding:
    """The result of one check."""

    name: str
    state: Literal["ok", "note", "problem"]
    text: str
    remedy: str = ""
    """What to do; empty where nothing needs to be done."""
    group: str = ""
    """What it belongs to."""


def run_checks() -> list[DoctorFinding]:
    """Run all checks, offline; takes about a second."""
    groups = {
        "installation": _installation,
        "local stack": _stack,
        "disk": _folders,
        "credentials": _credentials,
        "deployment": _deployment,
    }
    return [replace(finding, group=group) for group, check in groups.items() for finding in check()]


def _installation() -> Iterator[DoctorFinding]:
    yield DoctorFinding("qa-eval", "ok", __version__)
    where = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield DoctorFinding("Python", "ok", where)
    yield from _libraries()
    yield from (_extra(name) for name in _EXTRAS)


def _deployment() -> Iterator[DoctorFinding]:
    yield _node()
    yield _cdk()


def _libraries() -> Iterator[DoctorFinding]:
    """The required packages: one finding with all versions, and one for each that does not match."""
    found: list[str] = []
    for requirement in _requirements(""):
        here = _installed(requirement.name)
        if here is None or not requirement.specifier.contains(here, prereleases=True):
            text = f"{requirement.name} is {here or 'missing'}, required is {requirement.specifier}"
            yield DoctorFinding("libraries", "problem", text, "pip install --force-reinstall qa-eval")
        else:
            found.append(f"{requirement.name} {here}")
    yield DoctorFinding("libraries", "ok", ", ".join(found))


def _extra(name: str) -> DoctorFinding:
    needed = _requirements(name)
    misfits = [
        f"{each.name}{each.specifier}"
        for each in needed
        if (here := _installed(each.name)) is None or not each.specifier.contains(here, prereleases=True)
    ]
    if not misfits:
        return DoctorFinding(
            f"extra {name}", "ok", ", ".join(f"{each.name} {_installed(each.name)}" for each in needed)
        )
    text = f"not installed ({_EXTRAS[name]}): needs {', '.join(misfits)}"
    return DoctorFinding(f"extra {name}", "note", text, f"pip install 'qa-eval[{name}]'")


def _requirements(extra: str) -> list[Requirement]:
    """The requirements of this installation on this machine: the general ones, or those of an extra."""
    asked = [Requirement(text) for text in requires("qa-eval") or []]
    always = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [each for each in asked if each not in always and each.marker and each.marker.evaluate({"extra": extra})]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _stack() -> Iterator[DoctorFinding]:
    """The servers' environments and their disk space, the running servers, and the default ports."""
    if any(find_spec(module) is None for module in ("filelock", "psutil", "uv")):
        return
    from qa_eval.blueprint.versions import server_versions
    from qa_eval.stack import status
    from qa_eval.stack.servers import ENVIRONMENTS, environment

    yield DoctorFinding("server locks", "ok", ", ".join(f"{name} {pin}" for name, pin in server_versions().items()))
    missing = 0
    for name in ENVIRONMENTS:
        built = environment(name)
        option = _OPTIONS.get(name)
        missing += 0 if built.is_complete or option else built.megabytes
        later = f"not built yet, about {built.megabytes} MB"
        remedy = f"optional: qa-eval stack up {option} builds it" if option else "qa-eval stack up builds it"
        yield (
            DoctorFinding(f"environment {name}", "ok", str(built.folder))
            if built.is_complete
            else DoctorFinding(f"environment {name}", "note", later, remedy)
        )
    yield _space("disk space for the servers", cache_dir(), missing, "QA_EVAL_CACHE_DIR")
    for server in status().servers:
        hangs = server.state == "not answering"
        remedy = f"read {server.log}, then qa-eval stack down and up" if hangs else ""
        yield DoctorFinding(f"server {server.name}", "problem" if hangs else "ok", server.state, remedy)
    yield from _ports()


def _ports() -> Iterator[DoctorFinding]:
    from qa_eval.stack import processes, state
    from qa_eval.stack.ports import DEFAULTS, is_free

    records = state.load().servers.values()
    ours = {record.port for record in records if processes.find(record)}
    for name, port in DEFAULTS.items():
        if port is None:
            continue
        if port in ours or is_free(port):
            yield DoctorFinding(f"port {port}", "ok", f"the local stack's {name}" if port in ours else "free")
        else:
            remedy = "none needed, the stack uses a free port; or stop that program"
            yield DoctorFinding(f"port {port}", "note", f"in use by another program, not available for {name}", remedy)


def _folders() -> Iterator[DoctorFinding]:
    yield _space("disk space for runs", data_dir(), _SPACE_FOR_RUNS_MB, "QA_EVAL_DATA_DIR")
    for folder, variable in ((data_dir(), "QA_EVAL_DATA_DIR"), (cache_dir(), "QA_EVAL_CACHE_DIR")):
        if os.access(_existing(folder), os.W_OK):
            yield DoctorFinding("folder", "ok", f"{folder} can be written")
        else:
            yield DoctorFinding("folder", "problem", f"{folder} cannot be written", f"set {variable} to another folder")


def _space(name: str, folder: Path, needed_mb: int, variable: str) -> DoctorFinding:
    free_mb = shutil.disk_usage(_existing(folder)).free // 1_000_000
    text = f"{free_mb:,} MB free in {folder}, {needed_mb:,} MB needed"
    if free_mb >= needed_mb:
        return DoctorFinding(name, "ok", text)
    return DoctorFinding(name, "problem", text, f"free space, or set {variable} to a folder on another disk")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _credentials() -> Iterator[DoctorFinding]:
    """Which credentials are present, never their values."""
    for variable, purpose in _KEYS.items():
        there = bool(os.environ.get(variable))
        remedy = "" if there else f"export {variable}, if you need it"
        yield DoctorFinding(variable, "ok" if there else "note", f"{'set' if there else 'not set'}; {purpose}", remedy)
    import boto3

    profiles = boto3.Session().available_profiles
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        text = "in the environment"
    elif profiles:
        text = f"{len(profiles)} profiles configured"
    else:
        text = "none in the environment, no profile; on AWS a role may provide them"
    there = not text.startswith("none")
    remedy = "" if there else "aws configure sso, to deploy or to use a deployed stack"
    yield DoctorFinding("AWS credentials", "ok" if there else "note", text, remedy)


def _node() -> DoctorFinding:
    """Node.js, which the CDK's Python library needs too."""
    state: Literal["note", "problem"] = "problem" if find_spec("aws_cdk") else "note"
    remedy = f"install Node.js {_OLDEST_NODE} or newer, for qa-eval infra"
    program = shutil.which("node")
    if program is None:
        return DoctorFinding("Node.js", state, "missing", remedy)
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"v(\d+)\.", output)
    if found is None or int(found[1]) < _OLDEST_NODE:
        return DoctorFinding("Node.js", state, f"{output or 'does not start'}: too old", remedy)
    return DoctorFinding("Node.js", "ok", output)


def _cdk() -> DoctorFinding:
    from qa_eval.deployment import cdk

    try:
        return DoctorFinding("CDK command", "ok", " ".join(cdk.command()))
    except QaEvalError as error:
        return DoctorFinding(
            "CDK command", "note", "missing: deploy and destroy need it", str(error).partition(": ")[2]
        )
