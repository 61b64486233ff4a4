"""`qa-eval resume`: go on with a run that was stopped, killed, or not recorded."""

from __future__ import annotations

from typing import Annotated

import typer

from qa_eval.cli.options import concurrency as at_once
from qa_eval.cli.options import seconds


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or `latest`.")],
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again what ended in an error.")] = False,
    gateway: Annotated[
        str | None, typer.Option(metavar="URL", help="The gateway, if it has moved; its key: QA_EVAL_GATEWAY_KEY.")
    ] = None,
    phoenix: Annotated[
        str | None, typer.Option(metavar="URL", help="Phoenix, if it has moved; its key: PHOENIX_API_KEY.")
    ] = None,
    concurrency: Annotated[
        str, typer.Option(metavar="N|auto", help="How many questions are under way at once.")
    ] = "auto",
    max_errors: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Stop when more than this share fails.  [default: the run's]")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="USD", help="Stop before the whole run has spent more than this.")
    ] = None,
    max_time: Annotated[str | None, typer.Option(metavar="SECONDS|10m|1h", help="Stop asking after this time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Ask what a run has not answered yet, and record what Phoenix lacks; nothing is asked or paid twice."""
    import qa_eval
    from qa_eval.cli.display import Display, showing

    display = Display(quiet=as_json)
    with showing(display, as_json=as_json) as show:
        show(
            qa_eval.resume(
                run,
                retry_failed=retry_failed,
                gateway=gateway,
                phoenix=phoenix,
                concurrency=at_once(concurrency),
                max_errors=max_errors,
                max_cost=max_cost,
                max_time_s=seconds(max_time),
                observer=display,
                report=display.report,
            )
        )
