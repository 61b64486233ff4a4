"""`qa-eval clean`: see what qa-eval has on the disk, and delete what is built again when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.console import confirm
from qa_eval.errors import InputError

if TYPE_CHECKING:
    from qa_eval.disk import Place

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def command(yes: Yes = False) -> None:
    """Show what qa-eval has on the disk, and delete its cache; runs and the local stack's data are kept."""
    from qa_eval import disk
    from qa_eval.paths import cache_dir, data_dir
    from qa_eval.stack import running_servers

    cached, kept = disk.cached(), disk.kept()
    _show(f"Cache, built again when it is needed: {cache_dir()}", cached)
    _show(f"Kept: {data_dir()}", kept)
    if not cached:
        typer.echo("There is nothing to delete.", err=True)
        return
    if running := running_servers():
        names = ", ".join(running)
        raise InputError(f"The local stack runs from the cache ({names}): stop it with `qa-eval stack down` first.")
    if not yes:
        confirm("Delete the cache?")
    for place in cached:
        disk.remove(place.folder)
    typer.echo("The cache is deleted.", err=True)


def _show(title: str, places: list[Place]) -> None:
    typer.echo(title)
    for place in places:
        typer.echo(f"  {place.folder.name:<14}{place.megabytes:>9,.1f} MB  {place.purpose}".rstrip())
        if place.remedy:
            typer.echo(f"{'':29}-> {place.remedy}")
    if not places:
        typer.echo("  nothing")
