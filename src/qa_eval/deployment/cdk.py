"""The CDK command, at the version that understands our assemblies, run on a folder that was synthesised before."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qa_eval.errors import DeploymentError

VERSION: Final = "2.1148.1"
"""The CDK command that goes with the aws-cdk-lib of the extra `infra`; version 3 cannot read what it writes."""


@dataclass(frozen=True)
class Kept:
    """A resource that outlives its stack."""

    type: str
    name: str
    """Its name inside the template."""
    policy: str
    """`Retain`, or `Snapshot`: a last backup stays."""


def command() -> list[str]:
    """How the CDK command is called here: `QA_EVAL_CDK`, else an installed `cdk` of our version, else npx.

    Raises:
        DeploymentError: There is none.
    """
    if named := os.environ.get("QA_EVAL_CDK"):
        return shlex.split(named)
    if (found := shutil.which("cdk")) and _version(found) == VERSION:
        return [found]
    if npx := shutil.which("npx"):
        return [npx, "--yes", f"aws-cdk@{VERSION}"]
    raise DeploymentError(f"The CDK command is missing: install Node.js with npm, or aws-cdk {VERSION}.")


def run(verb: str, assembly: Path, arguments: Sequence[str] = ()) -> None:
    """Run a verb of the CDK command on all stacks of an assembly; its output goes to the user.

    Raises:
        DeploymentError: It failed; what it said stands above.
    """
    call([verb, "--all", "--app", str(assembly.absolute()), "--output", str(assembly.absolute()), *arguments], verb)


def call(arguments: Sequence[str], verb: str) -> None:
    """Run the CDK command.

    Raises:
        DeploymentError: It is missing or failed.
    """
    quiet = ["--no-notices", "--no-version-reporting"]
    environment = {**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "true"}
    code = subprocess.run([*command(), *arguments, *quiet], env=environment, check=False).returncode
    if code:
        raise DeploymentError(f"`cdk {verb}` failed (exit code {code}): what it said stands above.")


def kept(assembly: Path) -> tuple[Kept, ...]:
    """What stays in the account when the stacks are destroyed, by the templates."""
    return tuple(
        Kept(resource["Type"], name, resource["DeletionPolicy"])
        for template in _templates(assembly)
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in ("Retain", "Snapshot")
    )


def _templates(assembly: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(assembly.glob("*.template.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def _version(program: str) -> str:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return told.split()[0] if told.split() else ""
