"""`qa-eval run-experiment`: ask, score, record, and show one table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.options import count, stratify
from qa_eval.errors import Interrupted, StoppedEarly

if TYPE_CHECKING:
    from qa_eval.experiment.results import RunResult


def command(
    dataset: Annotated[str, typer.Option(help="`sample`, `squad`, `squad_v2`, or a file's path.")] = "sample",
    model: Annotated[
        list[str] | None, typer.Option(help="A model group of the gateway; may repeat.  [default: qa]")
    ] = None,
    examples: Annotated[str, typer.Option(metavar="N|all", help="How many questions.")] = "100",
    seed: Annotated[int, typer.Option(help="Which questions: the same seed takes the same ones.")] = 0,
    stratify_by: Annotated[
        str, typer.Option(metavar="difficulty|article|question-type|none", help="Take each kind in its share.")
    ] = "none",
    local: Annotated[bool, typer.Option("--local", help="Start the local stack where needed, and use it.")] = False,
    gateway: Annotated[
        str | None, typer.Option(metavar="URL", help="A running gateway; its key: QA_EVAL_GATEWAY_KEY.")
    ] = None,
    phoenix: Annotated[
        str | None, typer.Option(metavar="URL", help="A running Phoenix; its key: PHOENIX_API_KEY.")
    ] = None,
    no_phoenix: Annotated[bool, typer.Option("--no-phoenix", help="Record nothing in Phoenix.")] = False,
    dataset_name: Annotated[str | None, typer.Option(metavar="NAME", help="The dataset's name in Phoenix.")] = None,
    prompt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A prompt with {question} and {context} in it.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 for the most likely answer.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(help="The longest answer, in tokens.")] = 32,
    concurrency: Annotated[int, typer.Option(help="How many questions are under way at once.")] = 8,
    max_errors: Annotated[float, typer.Option(metavar="SHARE", help="Stop when more than this share fails.")] = 0.1,
    similarity: Annotated[
        str, typer.Option(metavar="minilm|gateway|sentence-transformers", help="Whose embeddings tell similarity.")
    ] = "minilm",
    facts: Annotated[
        bool, typer.Option("--facts", help="Record what explains a score in Phoenix too: length, refusal, ...")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --local: answer from a predictions file, not the model."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Ask a dataset's questions through the gateway, score the answers, record all in Phoenix.

    Scores count a question without an answer as 0. The answers are kept in a journal whatever happens.
    """
    from qa_eval import load_dataset, run_experiment
    from qa_eval.api import DEFAULT_MODELS
    from qa_eval.cli.display import Display

    display = Display(quiet=as_json)
    try:
        with display:
            loaded = load_dataset(
                dataset, examples=count(examples), seed=seed, stratify_by=stratify(stratify_by), name=dataset_name
            )
            result = run_experiment(
                loaded,
                models=model or DEFAULT_MODELS,
                local=local,
                gateway=gateway,
                phoenix=phoenix,
                record=not no_phoenix,
                prompt=prompt,
                temperature=temperature,
                max_tokens=max_tokens,
                concurrency=concurrency,
                max_errors=max_errors,
                similarity=similarity,
                facts=facts,
                replay=replay,
                observer=display,
                report=display.report,
            )
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {display.kept()}") from None
    if as_json:
        sys.stdout.write(json.dumps(result.to_json(), indent=2) + "\n")
    else:
        display.show(result)
    _conclude(result, local)


def _conclude(result: RunResult, local: bool) -> None:
    """Say what stays behind, and end as the run did."""
    if local:
        typer.echo("The local stack stays up; `qa-eval stack down` stops it.", err=True)
    if result.unrecorded:
        typer.echo(
            f"Phoenix lacks {result.unrecorded} answers ({result.unrecorded_reason}) All are kept in {result.journal}.",
            err=True,
        )
    if result.stopped:
        raise StoppedEarly(f"stopped early: {result.stopped} What was received is kept in {result.journal}.")
    if result.unrecorded:
        raise typer.Exit(2)
