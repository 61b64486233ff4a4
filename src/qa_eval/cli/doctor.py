"""`qa-eval doctor`: check this machine, and say what to do."""

from __future__ import annotations

import json
from typing import Annotated

import typer

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Check versions, environments, ports, disk space and credentials, offline. Exit code 1: there is a problem.

    Only the presence of a credential is shown.
    """
    from dataclasses import asdict

    from qa_eval.doctor import run_checks

    findings = run_checks()
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        content = {"schema": "qa-eval/doctor@1", "problems": problems, "findings": [asdict(each) for each in findings]}
        typer.echo(json.dumps(content, indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for each in findings:
            typer.echo(f"{_MARKS[each.state]:<8}{each.name:<{width}}  {each.text}")
            if each.remedy:
                typer.echo(f"{'':{width + 10}}-> {each.remedy}")
        typer.echo("No problem." if not problems else f"{problems} problem{'s' * (problems > 1)}.")
    if problems:
        raise typer.Exit(1)
