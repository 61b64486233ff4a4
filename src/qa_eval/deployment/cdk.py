"""Run the CDK command on a synthesised cloud assembly."""

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
"""The version of the CDK command for the aws-cdk-lib of the extra `infra`; version 3 cannot read its assemblies."""


@dataclass(frozen=True)
class RetainedResource:
    """A resource that is not deleted with its stack."""

    type: str
    name: str
    """Its logical id in the template."""
    policy: str
    """`Retain`, or `Snapshot`: a final backup is kept."""


def command() -> list[str]:
    """The CDK command: `QA_EVAL_CDK`, else an installed `cdk` of the right version, else npx.

    Raises:
        DeploymentError: None of them is available.
    """
    if named := os.environ.get("QA_EVAL_CDK"):
        return shlex.split(named)
    if (found := shutil.which("cdk")) and _version(found) == VERSION:
        return [found]
    if npx := shutil.which("npx"):
        return [npx, "--yes", f"aws-cdk@{VERSION}"]
    raise DeploymentError(f"The CDK command is missing: install Node.js with npm, or aws-cdk {VERSION}.")


def run(verb: str, assembly: Path, arguments: Sequence[str] = ()) -> None:
    """Run a CDK command on all stacks of an assembly; its output is not captured.

    Raises:
        DeploymentError: It fails.
    """
    call([verb, "--all", "--app", str(assembly.absolute()), "--output", str(assembly.absolute()), *arguments], verb)


def call(arguments: Sequence[str], verb: str) -> None:
    """Run the CDK command.

    Raises:
        DeploymentError: It is missing or fails.
    """
    quiet = ["--no-notices", "--no-version-reporting"]
    environment = {**os.environ, "CDK_DISABLE_CLI_TELEMETRY": "true"}
    code = subprocess.run([*command(), *arguments, *quiet], env=environment, check=False).returncode
    if code:
        raise DeploymentError(f"`cdk {verb}` failed (exit code {code}): see its output above.")


def retained(assembly: Path) -> tuple[RetainedResource, ...]:
    """The resources that stay in the account when the stacks are destroyed."""
    return tuple(
        RetainedResource(resource["Type"], name, resource["DeletionPolicy"])
        for template in _templates(assembly)
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in ("Retain", "Snapshot")
    )


def _templates(assembly: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(assembly.glob("*.template.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def _version(program: str) -> str:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return output.split()[0] if output.split() else ""
