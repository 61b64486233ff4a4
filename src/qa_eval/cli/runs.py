"""`qa-eval runs`: see the runs of this machine, and take their answers elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.console import confirm
from qa_eval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from qa_eval.experiment.runs import RunSummary

app = typer.Typer(
    help="Show the runs of this machine, export and delete them.", no_args_is_help=True, rich_markup_mode=None
)
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or id, the beginning of its id, or `latest`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_LONGEST_NAME = 40
"""Of a run, that the column allows for."""
FORMATS = ("jsonl", "csv", "parquet")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the runs, newest first."""
    from dataclasses import asdict

    from qa_eval import list_runs

    runs = list_runs()
    if as_json:
        typer.echo(json.dumps([asdict(run) for run in runs], indent=2))
        return
    if not runs:
        typer.echo("There are no runs yet: `qa-eval run-experiment --local` makes one.")
        return
    from qa_eval.cli.console import output_console

    print_runs(output_console(), runs)


def print_runs(console: Console, runs: Sequence[RunSummary]) -> None:
    """Print for each run a line with its name (else its id) and state, and below it what it is.

    Args:
        console: Where to print.
        runs: In the order in which they are printed.
    """
    from qa_eval.cli.console import print_text

    names = [run.name or run.run_id for run in runs]
    ids = min(max(map(len, names)), _LONGEST_NAME)
    counts = [f"{run.answered} of {run.planned}" for run in runs]
    width = max(len("answered"), *map(len, counts))
    print_text(console, f"{'run':{ids}}  {'answered':>{width}}  state", style="bold")
    for run, name, count in zip(runs, names, counts, strict=True):
        print_text(console, f"{name:{ids}}  {count:>{width}}  {_state(run)}", hanging=ids + width + 4)
        run_id = f"{run.run_id}: " if run.name else ""
        print_text(console, f"{run_id}{run.dataset}, asked of {', '.join(run.systems)}", indent=2, hanging=2)
        if run.stopped:
            print_text(console, run.stopped, indent=2, hanging=2)


@app.command()
def show(
    run: Run = "latest",
    spec: Annotated[
        bool, typer.Option("--spec", help="Print the resolved specification: running it is the same experiment.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the answer and the table of a run, as at its end."""
    from qa_eval import open_run
    from qa_eval.cli.display import print_result
    from qa_eval.spec.write import write_spec

    result = open_run(run)
    if spec:
        specification = result.metadata.spec
        text = json.dumps(specification.to_data(), indent=2) + "\n" if as_json else write_spec(specification)
        sys.stdout.write(text)
    else:
        print_result(result, as_json=as_json)


@app.command()
def export(
    run: Run = "latest",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Output file; standard output without it (not for parquet).")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="jsonl|csv|parquet", help="[default: by the file's name, else jsonl]"),
    ] = None,
) -> None:
    """Write every answer of a run, one a row, with its scores, tokens, cost, latency and trace."""
    from qa_eval import open_run

    chosen = form or (output.suffix.removeprefix(".") if output else "") or FORMATS[0]
    if chosen not in FORMATS:
        raise InputError(f"The format {chosen!r} is unknown: give --format {', '.join(FORMATS)}.")
    if chosen == "parquet" and output is None:
        raise InputError("Parquet is not text: give --output FILE.")
    result = open_run(run)
    frame = result.to_pandas()
    frame.insert(0, "run", result.run_id)
    try:
        _write(frame, chosen, output)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}): give another --output.") from None
    if output is not None:
        typer.echo(f"{len(frame)} answers are in {output}.", err=True)


@app.command()
def delete(
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names or ids of runs, or the beginning of ids.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete runs with all their answers. What Phoenix has of them stays there."""
    from qa_eval import open_run
    from qa_eval.run import delete_run

    for chosen in run:
        result = open_run(chosen)
        named = f"{result.metadata.spec.name}: " if result.metadata.spec.name else ""
        counted = f"{sum(len(each.answers) for each in result.experiments):,} answers"
        typer.echo(f"{result.run_id}  {named}{result.metadata.dataset.name}, {counted}")
        if not yes:
            confirm("Delete this run?")
        delete_run(chosen)
        typer.echo("It is deleted.", err=True)


def _write(frame: pd.DataFrame, form: str, output: Path | None) -> None:
    if form == "parquet":
        frame.to_parquet(output, index=False)
        return
    if form == "csv":
        text = frame.to_csv(index=False)
    else:
        text = frame.to_json(orient="records", lines=True, date_format="iso", force_ascii=False)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _state(run: RunSummary) -> str:
    if run.stopped:
        return "stopped"
    if run.answered < run.planned:
        return "not complete; `resume` continues"
    return f"complete, Phoenix lacks {run.unrecorded}" if run.unrecorded else "complete"
