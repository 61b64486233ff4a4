"""`qa-eval label`: let people say how far a judge can be trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qa_eval.errors import InputError

app = typer.Typer(help="Let people label what a judge decided on.", no_args_is_help=True, rich_markup_mode=None)
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or id, the beginning of its id, or `latest`.")]
Metric = Annotated[str, typer.Option(metavar="JUDGE", help="Name of the judge.")]


@app.command()
def export(
    metric: Metric,
    run: Run = "latest",
    count: Annotated[int, typer.Option("--count", "-n", min=1, metavar="N", help="Number of answers.")] = 100,
    system: Annotated[str | None, typer.Option(metavar="SYSTEM", help="Only answers of this system.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the draw.")] = 0,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Output file; standard output without it.")
    ] = None,
) -> None:
    """Write a sheet (CSV) for people to fill in: answers drawn at random within each verdict of the judge.

    It shows neither the verdict nor the system. Fill in the column `label` with one of the judge's labels.
    """
    from qa_eval.run.labels import export_labels

    text = export_labels(run, metric=metric, count=count, system=system, seed=seed)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}): give another --output.") from None
    typer.echo(f"The sheet is {output}: fill in the column `label`, then `qa-eval label import`.", err=True)


@app.command("import")
def import_(
    metric: Metric,
    run: Run = "latest",
    path: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The sheet, filled in.")] = None,
    phoenix: Annotated[
        str | None,
        typer.Option(metavar="URL", help="In place of a sheet: people's annotations in this Phoenix."),
    ] = None,
) -> None:
    """Keep people's labels, and show what they say of the judge."""
    from qa_eval.cli.console import output_console
    from qa_eval.cli.result_tables import show_people
    from qa_eval.run.labels import import_labels

    result = import_labels(run, metric=metric, path=path, phoenix=phoenix)
    show_people(output_console(), result, metric)
