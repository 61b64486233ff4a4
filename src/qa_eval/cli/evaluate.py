"""`qa-eval evaluate`: add metrics to a run that is there."""

from __future__ import annotations

from typing import Annotated

import typer

from qa_eval.cli.options import AS_JSON, setting


def command(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or id, the beginning of its id, or `latest`.")
    ] = "latest",
    metrics: Annotated[list[str] | None, setting("metrics")] = None,
    judge_model: Annotated[str | None, setting("judge_model")] = None,
    planted: Annotated[str | None, setting("planted")] = None,
    gateway: Annotated[
        str | None, typer.Option(metavar="URL", help="The gateway, if it has moved; its key: QA_EVAL_GATEWAY_KEY.")
    ] = None,
    phoenix: Annotated[
        str | None, typer.Option(metavar="URL", help="Phoenix, if it has moved; its key: PHOENIX_API_KEY.")
    ] = None,
    concurrency: Annotated[str | None, setting("concurrency")] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="local|auto|HOST:PORT|none", help="Ray cluster for the rest.  [default: the run's]"),
    ] = None,
    max_errors: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Stop when more than this share of judgements fails.  [default: the run's]"),
    ] = None,
    max_cost: Annotated[
        str | None, typer.Option(metavar="USD", help="Stop before the whole run has spent more than this.")
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Add metrics to a run: its answers are scored as they are; only judgements that are missing are paid."""
    from qa_eval.cli.display import showing
    from qa_eval.cli.progress import Display
    from qa_eval.run import evaluate

    display = Display(quiet=as_json)
    with showing(display, as_json=as_json) as show:
        show(
            evaluate(
                run,
                metrics=metrics or [],
                judge_model=judge_model,
                planted=planted,
                gateway=gateway,
                phoenix=phoenix,
                concurrency=concurrency,
                ray=ray,
                max_errors=max_errors,
                max_cost=max_cost,
                observer=display,
                on_progress=display.report,
            )
        )
