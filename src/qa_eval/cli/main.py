"""The command's entry: all verbs, and what errors look like.

Only what the help needs is imported here; each command imports the library when it runs.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from qa_eval import __version__
from qa_eval.cli import (
    chat,
    compare,
    datasets,
    doctor,
    evaluate,
    gateway,
    infra,
    init,
    label,
    prompts,
    report,
    resume,
    run_experiment,
    runs,
    schema,
    score,
    stack,
)
from qa_eval.errors import QaEvalError
from qa_eval.spec.settings import name_flags
from qa_eval.words import from_here

app = typer.Typer(
    name="qa-eval",
    help="Measure question answering through an LLM gateway, and trust the answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.command)
app.command("run-experiment")(run_experiment.command)
app.command("resume")(resume.command)
app.command("evaluate")(evaluate.command)
app.command("score")(score.command)
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("chat")(chat.command)
app.command("schema")(schema.command)
app.command("doctor")(doctor.command)
app.add_typer(runs.app, name="runs")
app.add_typer(datasets.app, name="datasets")
app.add_typer(label.app, name="label")
app.add_typer(prompts.app, name="prompts")
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
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options before a command."""


def main() -> None:
    """Run the command; a user's mistake is one sentence and exit code 2, never a traceback."""
    try:
        app()
    except QaEvalError as error:
        typer.echo(f"qa-eval: {from_here(name_flags(str(error), _flags(sys.argv[1:])))}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("qa-eval: interrupted.", err=True)
        sys.exit(130)


def _flags(arguments: list[str]) -> dict[str, str]:
    """The flags of the command that these arguments run, by the names of its parameters."""
    command: Any = typer.main.get_command(app)
    for argument in arguments:
        command = getattr(command, "commands", {}).get(argument, command)
    return {option.name: option.opts[0] for option in command.params if option.opts[0].startswith("--")}


if __name__ == "__main__":
    main()
