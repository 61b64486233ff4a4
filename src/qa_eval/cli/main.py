"""The command's entry: all verbs, and what errors look like.

Only what the help needs is imported here; each command imports the library when it runs.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qa_eval import __version__
from qa_eval.cli import (
    chat,
    compare,
    datasets,
    doctor,
    gateway,
    infra,
    report,
    resume,
    run_experiment,
    runs,
    score,
    stack,
)
from qa_eval.errors import QaEvalError

app = typer.Typer(
    name="qa-eval",
    help="Measure question answering through an LLM gateway, and trust the answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run-experiment")(run_experiment.command)
app.command("resume")(resume.command)
app.command("score")(score.command)
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("chat")(chat.command)
app.command("doctor")(doctor.command)
app.add_typer(runs.app, name="runs")
app.add_typer(datasets.app, name="datasets")
app.add_typer(gateway.app, name="gateway")
app.add_typer(infra.app, name="infra")
app.add_typer(stack.app, name="stack")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"qa-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """Run the command; a user's mistake is one sentence and exit code 2, never a traceback."""
    try:
        app()
    except QaEvalError as error:
        typer.echo(f"qa-eval: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("qa-eval: interrupted.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
