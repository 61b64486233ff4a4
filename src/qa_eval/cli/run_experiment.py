"""`qa-eval run-experiment`: ask, score, record, and show one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from qa_eval.cli.options import concurrency as at_once
from qa_eval.cli.options import count, seconds


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
    stack: Annotated[
        str | None, typer.Option(metavar="NAME", help="A stack on AWS, by its name; AWS credentials give its keys.")
    ] = None,
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
    repeat: Annotated[int, typer.Option(metavar="K", help="Ask each question K times.")] = 1,
    target: Annotated[
        str, typer.Option(metavar="gateway|chatbot|lex:STACK", help="Who is asked: a model, or the chatbot before it.")
    ] = "gateway",
    concurrency: Annotated[
        str, typer.Option(metavar="N|auto", help="How many questions are under way at once.")
    ] = "auto",
    max_errors: Annotated[float, typer.Option(metavar="SHARE", help="Stop when more than this share fails.")] = 0.1,
    max_cost: Annotated[float | None, typer.Option(metavar="USD", help="Stop before more than this is spent.")] = None,
    max_time: Annotated[str | None, typer.Option(metavar="SECONDS|10m|1h", help="Stop asking after this time.")] = None,
    similarity: Annotated[
        str, typer.Option(metavar="minilm|gateway|sentence-transformers", help="Whose embeddings tell similarity.")
    ] = "minilm",
    facts: Annotated[
        bool, typer.Option("--facts", help="Record what explains a score in Phoenix too: length, refusal, ...")
    ] = False,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An own metric that an installed package offers; may repeat."),
    ] = None,
    no_trace_content: Annotated[
        bool, typer.Option("--no-trace-content", help="Keep question and answer out of our own spans.")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --local: answer from a predictions file, not the model."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be asked and what it would cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Ask a dataset's questions through the gateway, score the answers, record all in Phoenix.

    Scores count a question without an answer as 0. The answers are kept in a journal whatever happens; `qa-eval
    resume` goes on with a run that was stopped or killed.
    """
    from qa_eval import estimate_experiment, load_dataset, run_experiment
    from qa_eval.cli.display import Display, showing
    from qa_eval.run import DEFAULT_MODELS

    models = model or DEFAULT_MODELS
    display = Display(quiet=as_json)
    with showing(display, as_json=as_json, local=local) as show:
        loaded = load_dataset(dataset, examples=count(examples), seed=seed, stratify_by=stratify_by, name=dataset_name)
        if dry_run:
            cost = estimate_experiment(loaded, models=models, prompt=prompt, max_tokens=max_tokens, repeat=repeat)
            typer.echo(json.dumps(cost.to_json(), indent=2) if as_json else repr(cost))
            return
        show(
            run_experiment(
                loaded,
                models=models,
                local=local,
                deployment=stack,
                gateway=gateway,
                phoenix=phoenix,
                record=not no_phoenix,
                prompt=prompt,
                temperature=temperature,
                max_tokens=max_tokens,
                repeat=repeat,
                target=target,
                concurrency=at_once(concurrency),
                max_errors=max_errors,
                max_cost=max_cost,
                max_time_s=seconds(max_time),
                similarity=similarity,
                facts=facts,
                metrics=metric or (),
                trace_content=not no_trace_content,
                replay=replay,
                observer=display,
                report=display.report,
            )
        )
