"""`qa-eval doctor`: check this machine, and say what to do."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.words import counted

if TYPE_CHECKING:
    from qa_eval.doctor import DoctorFinding

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Check versions, environments, ports, disk space and credentials, offline. Exit code 1: there is a problem.

    What is well is counted; `qa-eval --verbose doctor` shows every check. Only the presence of a credential is shown.
    """
    from dataclasses import asdict

    from qa_eval.doctor import run_checks

    findings = run_checks()
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        content = {"schema": "qa-eval/doctor@1", "problems": problems, "findings": [asdict(each) for each in findings]}
        typer.echo(json.dumps(content, indent=2))
    else:
        for group, members in groupby(findings, key=lambda each: each.group):
            _show(group, list(members), all_checks=bool(context.obj))
        typer.echo("No problem." if not problems else f"{problems} problem{'s' * (problems > 1)}.")
    if problems:
        raise typer.Exit(1)


def _show(group: str, findings: list[DoctorFinding], *, all_checks: bool) -> None:
    """A line for the group, and below it what is not well."""
    counts = Counter(each.state for each in findings)
    words = [f"{counts['ok']} ok"] if counts["ok"] else []
    words += [counted(counts[state], state) for state in ("note", "problem") if counts[state]]
    typer.echo(f"{group}: {', '.join(words)}")
    for each in findings if all_checks else (each for each in findings if each.state != "ok"):
        typer.echo(f"  {_MARKS[each.state]:<9}{each.name}: {each.text}")
        if each.remedy:
            typer.echo(f"{'':11}-> {each.remedy}")
