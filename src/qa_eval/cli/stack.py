"""`qa-eval stack`: the platform on this machine. Progress goes to standard error, answers to standard output."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.console import confirm
from qa_eval.errors import InputError, Interrupted
from qa_eval.words import duration

if TYPE_CHECKING:
    from rich.console import Console

    from qa_eval.stack import RunningStack, ServerStatus, StackStatus

app = typer.Typer(
    help="Run the platform on this machine: gateway, local Bedrock, model and Phoenix, on loopback only.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the edge, the address of gateway and Phoenix.", min=1, max=65535)
    ] = None,
    gateway_port: Annotated[int | None, typer.Option(help="The gateway's own port.", min=1, max=65535)] = None,
    phoenix_port: Annotated[int | None, typer.Option(help="Phoenix's own port.", min=1, max=65535)] = None,
    auth: Annotated[bool | None, typer.Option(help="Require authentication in Phoenix.")] = None,
    postgres: Annotated[bool | None, typer.Option(help="Store Phoenix's data in PostgreSQL instead of SQLite.")] = None,
    database: Annotated[
        bool | None, typer.Option(help="Give the gateway its database, with virtual keys and their spend.")
    ] = None,
    valkey: Annotated[bool | None, typer.Option(help="Share the gateway's state through Valkey.")] = None,
) -> None:
    """Start the servers that are not running, and wait until all are healthy. The first run builds their environments.

    Options that are left out keep their last values.
    """
    from qa_eval import stack

    try:
        with _progress() as on_progress:
            running = stack.up(
                port=port,
                gateway_port=gateway_port,
                phoenix_port=phoenix_port,
                auth=auth,
                postgres=postgres,
                database=database,
                valkey=valkey,
                on_progress=on_progress,
            )
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the servers that this command started are stopped.") from None
    if problem := _price_models(running):
        typer.echo(problem, err=True)
    found = stack.status()
    typer.echo(f"Gateway  {running.gateway_url}  (its key is in {found.key_file})")
    typer.echo(f"Phoenix  {running.phoenix_url}{_phoenix_hint(found)}")
    if found.database_engines:
        typer.echo(f"Database {_database(found)}")
    if not running.started_here:
        typer.echo("All servers were already running.", err=True)
    typer.echo("Stop the stack with `qa-eval stack down`.", err=True)


def _price_models(running: RunningStack) -> str:
    """Give Phoenix the gateway's prices; a sentence where that does not work."""
    from qa_eval.experiment.metadata import Servers
    from qa_eval.experiment.prices import price_gateway

    servers = Servers(running.gateway_url, running.gateway_key, running.phoenix_url, running.phoenix_key)
    return asyncio.run(price_gateway(servers))


@app.command()
def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete the stack's data too: Phoenix, databases, keys and logs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --purge: do not ask for confirmation.")] = False,
) -> None:
    """Stop every process of the stack. Its data is kept, unless it is purged."""
    from qa_eval import stack

    if yes and not purge:
        raise InputError("--yes confirms --purge: give both, or neither.")
    with _progress() as on_progress:
        stopped = stack.down(on_progress)
    typer.echo(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.", err=True)
    if purge:
        _purge(yes)


def _purge(yes: bool) -> None:
    from qa_eval import disk

    found = next((place for place in disk.kept() if place.folder.name == "stack"), None)
    if found is None:
        typer.echo("The stack has no data here.", err=True)
        return
    typer.echo(f"{found.folder}: {found.megabytes:,.1f} MB, {found.purpose}")
    if not yes:
        confirm("Delete it?")
    disk.remove(found.folder)
    typer.echo("It is deleted. `qa-eval clean` deletes the servers' environments too.", err=True)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Show every server. Exit code 1: the stack cannot answer questions."""
    from qa_eval import stack

    found = stack.status()
    if as_json:
        document = {"healthy": found.healthy, **dataclasses.asdict(found)}
        typer.echo(json.dumps(document, indent=2, default=str))
    else:
        from qa_eval.cli.console import output_console

        print_status(output_console(), found)
    if not found.healthy:
        raise typer.Exit(1)


@app.command()
def logs(
    server: Annotated[str | None, typer.Argument(help="Name of a server in `stack status`.  [default: all]")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the logs until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(help="Number of lines to show.", min=0)] = 50,
) -> None:
    """Show the end of the servers' logs."""
    from qa_eval import stack

    known = {each.name: each.log for each in stack.status().servers}
    if server is not None and server not in known:
        raise InputError(f"There is no server {server!r}: choose from {', '.join(known)}.")
    chosen = {name: log for name, log in known.items() if server in (None, name) and log.exists()}
    if not chosen:
        raise InputError("There is no log yet: start the servers with `qa-eval stack up`.")
    prefixes = {log: "" if server else f"{name:8}| " for name, log in chosen.items()}
    positions = {log: _print_end(log, lines, prefix) for log, prefix in prefixes.items()}
    with contextlib.suppress(KeyboardInterrupt):
        while follow:
            time.sleep(0.3)
            positions = {log: _print_new(log, at, prefixes[log]) for log, at in positions.items()}


def _database(found: StackStatus) -> str:
    (url,) = (server.url for server in found.servers if server.name == "postgres")
    return f"{url or 'PostgreSQL'}  (of the gateway, through Prisma's {found.database_engines} engines)"


def _phoenix_hint(found: StackStatus) -> str:
    if found.password_file is None:
        return ""
    return (
        f"  (its key is in {found.phoenix_key_file}; for admin@localhost, the first password in {found.password_file})"
    )


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show progress: a spinner in a terminal, plain lines elsewhere."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False, soft_wrap=True)
        return
    with console.status("") as spinner:

        def on_progress(line: str) -> None:
            if line.endswith("..."):
                spinner.update(line)
            else:
                console.print(line, markup=False)

        yield on_progress


def print_status(console: Console, found: StackStatus) -> None:
    """Print two lines for each server, which fit in a narrow terminal, and where keys and logs are.

    Args:
        console: Where to print.
        found: The state of the servers.
    """
    from qa_eval.cli.console import plain_table, print_text

    is_narrow = console.width < 60
    table = plain_table(console, gap=1 if is_narrow else 2)
    for title in ("server", "state", "URL, version, process"):
        table.add_column(title, overflow="fold")
    for server in found.servers:
        name, state, details = _row(server)
        table.add_row(name, state.replace(" ", "\n", 1) if is_narrow and state.startswith("not") else state, details)
    console.print(table)
    console.print()
    print_text(console, f"The gateway's key: {found.key_file}", hanging=2)
    if found.database_engines:
        text = f"The gateway's database: PostgreSQL, through Prisma's {found.database_engines} engines"
        print_text(console, text, hanging=2)
    if found.password_file:
        print_text(console, f"Phoenix's key: {found.phoenix_key_file}", hanging=2)
        print_text(console, f"Phoenix's first password for admin@localhost: {found.password_file}", hanging=2)
    print_text(console, f"Logs: {found.servers[0].log.parent}", hanging=2)
    if not found.healthy:
        print_text(console, "The stack cannot answer questions: `qa-eval stack up` starts what is not running.")


def _row(server: ServerStatus) -> list[str]:
    memory = "" if server.memory_bytes is None else f", {server.memory_bytes / 1e6:.0f} MB"
    process = "" if server.pid is None else f", pid {server.pid}{memory}"
    state = server.state if server.pid is None else f"{server.state}\n{_uptime(server)}"
    address = f"{server.url}\n" if server.url else ""
    return [server.name, state, f"{address}{server.version}{process}"]


def _uptime(server: ServerStatus) -> str:
    return "" if server.uptime_seconds is None else duration(server.uptime_seconds)


def _print_end(log: Path, lines: int, prefix: str) -> int:
    """Print the last lines; return the position in bytes after them."""
    from qa_eval.stack.logs import last_lines

    size = log.stat().st_size
    for line in last_lines(log, lines, size):
        typer.echo(f"{prefix}{line}")
    return size


def _print_new(log: Path, position: int, prefix: str) -> int:
    """Print the lines after `position`; a log that is shorter has been replaced, and is printed from its beginning."""
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        start = position if file.seek(0, 2) >= position else 0
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                break
            start += len(line)
            typer.echo(f"{prefix}{line.decode(errors='replace').rstrip()}")
        sys.stdout.flush()
        return start
    return 0
