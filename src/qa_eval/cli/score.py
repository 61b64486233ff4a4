"""`qa-eval score`: the official numbers of a predictions file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from qa_eval.errors import InputError

FORMATS = {"v1.1": "1.1", "v2.0": "2.0"}


def command(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="A JSON file, {id: text}.")],
    dataset: Annotated[str, typer.Option(metavar="FILE", help="The SQuAD file that was asked.")],
    version: Annotated[
        str | None,
        typer.Option("--format", metavar="v1.1|v2.0", help="Which official script.  [default: the dataset's]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a predictions file exactly as the official SQuAD script does.

    A question without a prediction counts 0 and is named on standard error.
    """
    from qa_eval.data import load_dataset
    from qa_eval.data.predictions import read_predictions
    from qa_eval.metrics import score_predictions

    if version is not None and version not in FORMATS:
        raise InputError(f"--format {version} is no official script: give v1.1 or v2.0.")
    loaded = load_dataset(dataset, examples=None)
    scores = score_predictions(read_predictions(predictions), loaded, FORMATS[version] if version else loaded.version)
    if scores.missing:
        named = ", ".join(scores.missing[:10]) + (" …" if len(scores.missing) > 10 else "")
        typer.echo(f"{len(scores.missing)} questions have no prediction and count 0: {named}", err=True)
    official = scores.to_dict()
    if as_json:
        sys.stdout.write(json.dumps(official) + "\n")
        return
    for name, value in official.items():
        typer.echo(f"{name:>18}  {value}")
