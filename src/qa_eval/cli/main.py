"""The command's entry: all verbs, and what errors look like.

Only what the help needs is imported here; each command imports the library when it runs.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from qa_eval import __version__
from qa_eval.cli import (
    chat,
    clean,
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
from qa_eval.errors import InputError, QaEvalError
from qa_eval.spec.settings import name_flags
from qa_eval.words import from_here

app = typer.Typer(
    name="qa-eval",
    help="Measure question answering through an LLM gateway, and trust the answer.",
    invoke_without_command=True,
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
app.command("clean")(clean.command)
app.add_typer(runs.app, name="runs")
app.add_typer(datasets.app, name="datasets")
app.add_typer(label.app, name="label")
app.add_typer(prompts.app, name="prompts")
app.add_typer(gateway.app, name="gateway")
app.add_typer(infra.app, name="infra")
app.add_typer(stack.app, name="stack")

_FIRST_STEPS = f"""qa-eval {__version__}: measure question answering through an LLM gateway.

  qa-eval doctor                   check this machine
  qa-eval run-experiment --local   ask a small model here the bundled questions
  qa-eval init FOLDER              write an experiment of your own
  qa-eval runs list                see the runs that there are
  qa-eval --help                   see all commands"""
_ANYWHERE = {"--quiet", "--verbose"}
"""Options of the program that may also follow the command."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"qa-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print answers and errors only, no progress and notes.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print every try of a question, and all checks of `doctor`.")
    ] = False,
) -> None:
    """Options of every command."""
    if quiet and verbose:
        raise InputError("--quiet and --verbose exclude each other: give one of them.")
    if quiet:
        sys.stderr = context.with_resource(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    context.obj = verbose
    if context.invoked_subcommand is None:
        typer.echo(_FIRST_STEPS)


def main() -> None:
    """Run the command; a user's mistake is one sentence and exit code 2, never a traceback."""
    given, errors = sys.argv[1:], sys.stderr
    try:
        app(_ordered(given))
    except QaEvalError as error:
        typer.echo(f"qa-eval: {from_here(name_flags(str(error), _flags(given)))}", errors)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("qa-eval: interrupted.", errors)
        sys.exit(130)
    finally:
        sys.stderr = errors


def _ordered(arguments: list[str]) -> list[str]:
    """The arguments with the program's own options first, wherever before `--` they were given."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = [each for each in arguments[:end] if each in _ANYWHERE]
    return [*own, *(each for each in arguments[:end] if each not in _ANYWHERE), *arguments[end:]]


def _flags(arguments: list[str]) -> dict[str, str]:
    """The flags of the command that these arguments run, by the names of its parameters."""
    command: Any = typer.main.get_command(app)
    for argument in arguments:
        command = getattr(command, "commands", {}).get(argument, command)
    return {option.name: option.opts[0] for option in command.params if option.opts[0].startswith("--")}


if __name__ == "__main__":
    main()
