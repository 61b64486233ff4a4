"""What `qa-eval infra preflight` and `deploy` print about the account."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from qa_eval.deployment.preflight.account import Account
    from qa_eval.deployment.preflight.findings import CheckResult
    from qa_eval_infra.settings import QaEvalSettings

_MARKS: Final = {"fails": "FAILS", "unchecked": "unchecked"}
_INDENT: Final = 11


def show(settings: QaEvalSettings, *, as_json: bool) -> bool:
    """Print each check as it passes, or its findings; return whether the deployment would fail."""
    from qa_eval.cli.console import output_console
    from qa_eval.deployment.preflight.checks import run_checks

    account = _account(settings)
    checked = run_checks(settings, account)
    if as_json:
        results = list(checked)
        typer.echo(json.dumps(_document(settings, account, results), indent=2))
    else:
        results = _printed(output_console(), checked)
        typer.echo(_summary(settings, account, results), err=True)
    return any(result.fails for result in results)


def stops(settings: QaEvalSettings, without: Collection[str]) -> bool:
    """Print the findings on standard error; return whether the deployment would fail.

    Args:
        settings: The settings of the deployment.
        without: Names of checks to leave out.
    """
    from rich.console import Console

    from qa_eval.deployment.preflight.checks import run_checks

    console = Console(stderr=True, highlight=False)
    typer.echo("Asking the account what would fail ...", err=True)
    results = run_checks(settings, _account(settings), without)
    return any(result.fails for result in _printed(console, (result for result in results if result.findings)))


def _account(settings: QaEvalSettings) -> Account:
    from qa_eval.deployment.preflight.account import Account

    return Account(settings.name, settings.region)


def _printed(console: Console, results: Iterable[CheckResult]) -> list[CheckResult]:
    from qa_eval.cli.console import print_text

    printed = []
    for result in results:
        if not result.findings:
            print_text(console, f"{'ok':<{_INDENT}}{result.check}")
        for finding in result.findings:
            line = f"{_MARKS[finding.kind]:<{_INDENT}}{result.check}: {finding.sentence}"
            print_text(console, line, hanging=_INDENT)
        printed.append(result)
    return printed


def _summary(settings: QaEvalSettings, account: Account, results: Iterable[CheckResult]) -> str:
    kinds = [finding.kind for result in results for finding in result.findings]
    where = f"in {settings.region} as {account.caller or 'nobody'}"
    failing, unchecked = kinds.count("fails"), kinds.count("unchecked")
    left = f", {unchecked} could not be checked" if unchecked else ""
    if not failing:
        return f"Nothing that was checked would fail {where}{left}."
    return f"{failing} finding{'s' * (failing > 1)} would fail the deployment {where}{left}."


def _document(settings: QaEvalSettings, account: Account, results: Iterable[CheckResult]) -> dict[str, Any]:
    return {
        "schema": "qa-eval/preflight@1",
        "stack": settings.name,
        "region": settings.region,
        "caller": account.caller,
        "fails": any(result.fails for result in results),
        "checks": [
            {
                "check": result.check,
                "findings": [{"kind": each.kind, "sentence": each.sentence} for each in result.findings],
            }
            for result in results
        ],
    }
