"""`qa-eval report`: one HTML file about one or more runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qa_eval.cli.compare import SOURCES, Dataset, PhoenixUrl, phoenix_of


def command(
    sources: Annotated[list[str], typer.Argument(metavar="RUN", help=SOURCES)],
    output: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path("qa-eval-report.html"),
    dataset: Dataset = None,
    phoenix: PhoenixUrl = None,
) -> None:
    """Write one self-contained HTML file: scores, cost, latency, outcomes and examples; no network to view it.

    Several systems are compared on their common questions; the first is the baseline.
    """
    from qa_eval import report

    path = report(*sources, output=output, dataset=dataset, phoenix=phoenix_of(phoenix, sources))
    typer.echo(str(path))
    typer.echo("Open it in a browser; it needs nothing else.", err=True)
