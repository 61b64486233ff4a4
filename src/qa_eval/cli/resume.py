"""`qa-eval resume`: continue a run that was stopped, killed, or not recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from qa_eval.cli.options import AS_JSON, setting


def command(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's name or id, the beginning of its id, or `latest`.")
    ],
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again what ended in an error.")] = False,
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
        typer.Option(metavar="SHARE", help="Stop when more than this share fails.  [default: the run's]"),
    ] = None,
    max_cost: Annotated[
        str | None, typer.Option(metavar="USD", help="Stop before the whole run has spent more than this.")
    ] = None,
    max_time: Annotated[str | None, setting("max_time")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Ask the unanswered questions of a run, and record what Phoenix lacks; nothing is asked or paid twice."""
    from qa_eval.cli.display import showing
    from qa_eval.cli.progress import Display
    from qa_eval.run import resume

    display = Display(quiet=as_json)
    with showing(display, as_json=as_json) as show:
        show(
            resume(
                run,
                retry_failed=retry_failed,
                gateway=gateway,
                phoenix=phoenix,
                concurrency=concurrency,
                ray=ray,
                max_errors=max_errors,
                max_cost=max_cost,
                max_time=max_time,
                observer=display,
                on_progress=display.report,
            )
        )
