"""`qa-eval init`: a specification to start from, with a small dataset and two prompts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; created where needed.")] = Path(),
) -> None:
    """Write a commented specification, a small dataset and two prompts, ready to run."""
    from qa_eval.spec.starter import write_starter

    for path in write_starter(folder):
        typer.echo(f"wrote {path}")
    enter = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    typer.echo(f"\nNow run it on this machine:\n  {enter}qa-eval run-experiment qa-eval.yaml --local")
