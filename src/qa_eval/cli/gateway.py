"""`qa-eval gateway`: check a configuration, and a running gateway against it; its virtual keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli import keys
from qa_eval.errors import InputError
from qa_eval.words import from_here

if TYPE_CHECKING:
    from rich.console import Console

    from qa_eval.blueprint.prices import PriceMap
    from qa_eval.gateway_check.lint import GatewayFinding

app = typer.Typer(
    help="Check the gateway's configuration, and manage its virtual keys.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(keys.app, name="keys")


@app.command()
def check(
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="LiteLLM configuration.  [default: the platform's own]")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Also check a running gateway, with canaries.")] = False,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="URL", help="With --live: URL of the gateway; its master key: QA_EVAL_GATEWAY_KEY."),
    ] = None,
    call_models: Annotated[
        bool, typer.Option("--call-models", help="With --live: call every model group once, at a small cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")] = False,
) -> None:
    """Find what LiteLLM accepts but ignores. Exit code 1: there are findings; 2: the check failed."""
    from datetime import UTC, datetime

    from qa_eval.blueprint.gateway import config_path, load_content
    from qa_eval.blueprint.prices import load_price_map
    from qa_eval.gateway_check.lint import lint

    if not live and (gateway is not None or call_models):
        raise InputError("--gateway and --call-models check a running gateway: add --live.")
    path = config or config_path()
    content, prices = load_content(path), load_price_map()
    findings = lint(content, prices, datetime.now(UTC).date())
    if live:
        findings += _check_live(path, findings, prices, gateway, call_models=call_models)
    _print(path, findings, live=live, as_json=as_json)
    if findings:
        raise typer.Exit(1)


def _check_live(
    path: Path, findings: tuple[GatewayFinding, ...], prices: PriceMap, gateway: str | None, *, call_models: bool
) -> tuple[GatewayFinding, ...]:
    from qa_eval.blueprint.gateway import read_config
    from qa_eval.gateway_check.live import LiveGateway, cost_of_calls_usd
    from qa_eval.servers import gateway_server

    # A file that does not match the schema cannot be compared: use the platform's own.
    declared = read_config(None if any(each.rule == "shape" for each in findings) else path)
    with LiveGateway(*gateway_server(gateway)) as running:
        found = running.verify(declared)
        if call_models:
            cost = cost_of_calls_usd(declared, prices)
            typer.echo(f"Calling {len(declared.groups())} model groups, for at most ${cost:.4f} ...", err=True)
            found += running.call_models(declared)
    return found


def _print(path: Path, findings: tuple[GatewayFinding, ...], *, live: bool, as_json: bool) -> None:
    if as_json:
        entries = [{"rule": each.rule, "message": each.message} for each in findings]
        typer.echo(json.dumps({"config": str(path), "live": live, "findings": entries}, indent=2))
        return
    from qa_eval.cli.console import output_console

    print_findings(output_console(), findings)
    count = len(findings)
    what = "the configuration and the running gateway" if live else "the configuration"
    typer.echo(f"{from_here(str(path))}: {count or 'no'} finding{'' if count == 1 else 's'} in {what}.", err=True)


def print_findings(console: Console, findings: Sequence[GatewayFinding]) -> None:
    """Print a sentence for each finding, with the name of its rule.

    Args:
        console: Where to print.
        findings: What a check found.
    """
    from qa_eval.cli.console import print_text

    for each in findings:
        print_text(console, f"{each.rule}: {each.message}", hanging=2)
