"""`qa-eval gateway keys`: virtual keys of a gateway that has a database."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from qa_eval.virtual_keys import KeyStatus, VirtualKeys

app = typer.Typer(
    help="Create, list and delete virtual keys, which have models, a budget and their spend.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Gateway = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="URL of the gateway; its master key: QA_EVAL_GATEWAY_KEY.  [default: the local stack's]"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@app.command()
def create(
    name: Annotated[str | None, typer.Argument(help="Name of the key.  [default: a new one]")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model group that the key may use; may be repeated.  [default: all]")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(metavar="USD", help="Budget in US dollars a month.  [default: no limit]")
    ] = None,
    gateway: Gateway = None,
    as_json: Json = False,
) -> None:
    """Create a key for the guarded routes, and print its value to standard output, once: the gateway keeps only a hash.

    `export QA_EVAL_GATEWAY_KEY=$(qa-eval gateway keys create)` uses it without showing it.
    """
    from qa_eval.virtual_keys import KeyLimits

    chosen = f"key-{secrets.token_hex(3)}" if name is None else name
    if not _NAME.fullmatch(chosen):
        raise InputError(f"{chosen!r} is not the name of a key: use up to 64 letters, digits and the characters ._@-")
    if budget is not None and not 0 < budget < float("inf"):
        raise InputError(f"`budget` must be a number of US dollars greater than 0, not {budget:g}.")
    limits = KeyLimits(tuple(dict.fromkeys(model or ())), budget)
    with _keys(gateway) as keys:
        value = keys.create(chosen, limits)
    typer.echo(json.dumps({"name": chosen, "key": value}, indent=2) if as_json else value)
    typer.echo(f"Created the key {chosen}; its value is shown only now.", err=True)


@app.command("list")
def list_(gateway: Gateway = None, as_json: Json = False) -> None:
    """List the keys with their models, spend and budget, never their values."""
    with _keys(gateway) as keys:
        found = keys.list()
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(key) for key in found], indent=2))
        return
    from qa_eval.cli.console import output_console

    print_keys(output_console(), found)


@app.command()
def delete(name: Annotated[str, typer.Argument(help="Name of the key.")], gateway: Gateway = None) -> None:
    """Delete a key; the gateway refuses it from then on."""
    with _keys(gateway) as keys:
        keys.delete(name)
    typer.echo(f"Deleted the key {name}.", err=True)


def print_keys(console: Console, keys: Sequence[KeyStatus]) -> None:
    """Print a line for each key.

    Args:
        console: Where to print.
        keys: The keys.
    """
    from rich.text import Text

    from qa_eval.cli.console import plain_table, print_text

    if not keys:
        print_text(console, "There are no virtual keys: `qa-eval gateway keys create` makes one.")
        return
    table = plain_table(console)
    table.add_column("key", overflow="fold")
    table.add_column("models", overflow="fold")
    for title in ("spend", "budget", "reset"):
        table.add_column(title, justify="right", no_wrap=True)
    for key in keys:
        budget = "none" if key.budget_usd is None else f"${key.budget_usd:,.10g}"
        reset = (key.resets_at or "").partition("T")[0]
        cells = [key.name or "(no name)", ", ".join(key.models) or "all", f"${key.spend_usd:,.4f}", budget, reset]
        table.add_row(*map(Text, cells))
    console.print(table)


def _keys(gateway: str | None) -> VirtualKeys:
    from qa_eval.servers import gateway_server
    from qa_eval.virtual_keys import VirtualKeys

    return VirtualKeys(*gateway_server(gateway))
