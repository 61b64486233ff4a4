"""`qa-eval prompts`: put prompts into Phoenix's registry, and show them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Keep prompts in Phoenix's registry.", no_args_is_help=True, rich_markup_mode=None)

PhoenixUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A running Phoenix; its key: PHOENIX_API_KEY.  [default: the local stack's]"),
]


@app.command()
def push(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A prompt: text, or messages in YAML or JSON.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="The prompt's name in Phoenix.")],
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="A tag for this version, such as production.")] = None,
    phoenix: PhoenixUrl = None,
) -> None:
    """Put a prompt into Phoenix; pushing the same content again makes no new version."""
    from qa_eval.phoenix.prompts import push_prompt
    from qa_eval.servers import phoenix_server
    from qa_eval.spec.prompts import read_prompt

    stored = push_prompt(*phoenix_server(phoenix), read_prompt(file), name, tag=tag)
    what = "a new version" if stored.is_new else "unchanged"
    address = f"phoenix:{name}@{tag}" if tag else f"phoenix:{name}"
    typer.echo(f"{name}: {what}, {stored.version}")
    typer.echo(f"Use it with --prompt {address}")
    typer.echo(stored.url)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME[@TAG]", help="A prompt in Phoenix.")],
    phoenix: PhoenixUrl = None,
) -> None:
    """Show a prompt of Phoenix's registry as qa-eval uses it."""
    from qa_eval.phoenix.prompts import fetch_prompt
    from qa_eval.servers import phoenix_server

    for message in fetch_prompt(*phoenix_server(phoenix), name).messages:
        typer.echo(f"{message.role}:\n{message.content}\n")
