"""`qa-eval run-experiment`: ask, score, record, and show one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from qa_eval.cli.options import AS_JSON, setting, switch, toggle

OWN_OPTIONS = ("file", "dry_run", "as_json")
"""The parameters that are not settings of the specification."""
SWITCHED_OFF = ("record", "prices", "trace_content")
"""The settings whose flag turns them off."""
TOGGLED = ("stream",)
"""The settings with a flag for either value."""


def command(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A specification: YAML, JSON or TOML. Flags override it."),
    ] = None,
    name: Annotated[str | None, setting("name")] = None,
    dataset: Annotated[str | None, setting("dataset")] = None,
    columns: Annotated[str | None, setting("columns")] = None,
    examples: Annotated[str | None, setting("examples")] = None,
    seed: Annotated[str | None, setting("seed")] = None,
    stratify_by: Annotated[str | None, setting("stratify_by")] = None,
    dataset_name: Annotated[str | None, setting("dataset_name")] = None,
    models: Annotated[list[str] | None, setting("models")] = None,
    prompts: Annotated[list[str] | None, setting("prompts")] = None,
    via: Annotated[str | None, setting("via")] = None,
    temperature: Annotated[str | None, setting("temperature")] = None,
    max_tokens: Annotated[str | None, setting("max_tokens")] = None,
    parameters: Annotated[list[str] | None, setting("parameters")] = None,
    metrics: Annotated[list[str] | None, setting("metrics")] = None,
    primary: Annotated[list[str] | None, setting("primary")] = None,
    judge_model: Annotated[str | None, setting("judge_model")] = None,
    planted: Annotated[str | None, setting("planted")] = None,
    similarity: Annotated[str | None, setting("similarity")] = None,
    repeat: Annotated[str | None, setting("repeat")] = None,
    stream: Annotated[bool | None, toggle("stream")] = None,
    concurrency: Annotated[str | None, setting("concurrency")] = None,
    ray: Annotated[str | None, setting("ray")] = None,
    max_errors: Annotated[str | None, setting("max_errors")] = None,
    max_cost: Annotated[str | None, setting("max_cost")] = None,
    max_time: Annotated[str | None, setting("max_time")] = None,
    timeout: Annotated[str | None, setting("timeout")] = None,
    stop_early: Annotated[bool, switch("stop_early")] = False,
    looks: Annotated[str | None, setting("looks")] = None,
    margin: Annotated[str | None, setting("margin")] = None,
    baseline: Annotated[str | None, setting("baseline")] = None,
    fail_on: Annotated[list[str] | None, setting("fail_on")] = None,
    require: Annotated[list[str] | None, setting("require")] = None,
    inconclusive: Annotated[str | None, setting("inconclusive")] = None,
    local: Annotated[bool, switch("local")] = False,
    stack: Annotated[str | None, setting("stack")] = None,
    gateway: Annotated[str | None, setting("gateway")] = None,
    phoenix: Annotated[str | None, setting("phoenix")] = None,
    replay: Annotated[str | None, setting("replay")] = None,
    record: Annotated[bool, switch("record")] = False,
    record_examples: Annotated[str | None, setting("record_examples")] = None,
    prices: Annotated[bool, switch("prices")] = False,
    trace: Annotated[str | None, setting("trace")] = None,
    facts: Annotated[bool, switch("facts")] = False,
    trace_content: Annotated[bool, switch("trace_content")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked and what it would cost; send nothing.")
    ] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Ask a dataset's questions through the gateway, score the answers, record all in Phoenix.

    A specification FILE, flags, or both say what is asked of which systems. Scores count a question without an answer
    as 0. Answers are kept in a journal; `qa-eval resume` continues a run that was stopped or killed.
    """
    from qa_eval.cli.display import showing
    from qa_eval.cli.progress import Display
    from qa_eval.run import estimate_experiment, load_experiment, run_experiment

    display = Display(quiet=as_json)
    with showing(display, as_json=as_json) as show:
        spec = load_experiment(file, given(context.params))
        if dry_run:
            cost = estimate_experiment(spec)
            typer.echo(json.dumps(cost.to_json(), indent=2) if as_json else repr(cost))
            return
        show(run_experiment(spec, observer=display, on_progress=display.report))


def given(parameters: dict[str, Any]) -> dict[str, Any]:
    """The settings that flags give, by keyword; what was not given is left out."""
    settings = {
        name: value
        for name, value in parameters.items()
        if name not in OWN_OPTIONS and value is not None and (value is not False or name in TOGGLED)
    }
    return settings | {name: False for name in SWITCHED_OFF if name in settings}
