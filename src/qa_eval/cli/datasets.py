"""`qa-eval datasets`: look at questions before they cost anything, and put them into Phoenix."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.options import count
from qa_eval.errors import InputError

if TYPE_CHECKING:
    from qa_eval.data import Dataset, Example

app = typer.Typer(help="Show datasets, and load them into Phoenix.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="sample, squad, squad_v2, a file (CSV, TSV, JSON, JSON Lines, Parquet), hub:ORG/NAME or phoenix:NAME.",
    ),
]
Columns = Annotated[
    str | None, typer.Option(metavar="MAP", help="Columns of the dataset: question=q,references=a+b,group=c.")
]
Examples = Annotated[str, typer.Option(metavar="N|all", help="Number of examples.")]
Seed = Annotated[int, typer.Option(help="Random seed of the subset.")]
Strata = Annotated[
    str, typer.Option(metavar="difficulty|group|question-type|COLUMN|none", help="Keep each stratum's proportion.")
]
PhoenixUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A running Phoenix; its key: PHOENIX_API_KEY.  [default: the local stack's]"),
]


@app.command()
def show(
    dataset: Source = "sample",
    columns: Columns = None,
    examples: Examples = "5",
    seed: Seed = 0,
    stratify_by: Strata = "none",
    phoenix: PhoenixUrl = None,
) -> None:
    """Show questions with their context, references and metadata."""
    loaded = _load(dataset, columns, examples, seed, stratify_by, None, phoenix)
    for example in loaded:
        typer.echo("\n".join(_lines(example, loaded)) + "\n")
    typer.echo(repr(loaded), err=True)


@app.command()
def load(
    dataset: Source = "sample",
    columns: Columns = None,
    examples: Examples = "100",
    seed: Seed = 0,
    stratify_by: Strata = "none",
    dataset_name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the dataset in Phoenix.")] = None,
    phoenix: PhoenixUrl = None,
) -> None:
    """Load a dataset into Phoenix; loading it again changes nothing."""
    from qa_eval.data.upload import upload_dataset
    from qa_eval.phoenix.client import Phoenix

    async def upload(loaded: Dataset) -> str:
        async with Phoenix(*_phoenix(phoenix)) as server:
            await server.check()
            stored = await upload_dataset(
                server.client,
                loaded,
                on_progress=lambda done, total: typer.echo(f"{done} of {total} sent", err=True),
                log=lambda line: typer.echo(line, err=True),
            )
            summary = f"{stored.name}: {len(stored.node_ids)} examples, {stored.changed} new or changed"
            return f"{summary}\n{server.url}/datasets/{stored.id}"

    typer.echo(asyncio.run(upload(_load(dataset, columns, examples, seed, stratify_by, dataset_name, phoenix))))


@app.command("list")
def list_(phoenix: PhoenixUrl = None) -> None:
    """List the datasets in Phoenix."""
    from qa_eval.phoenix.client import Phoenix

    async def names() -> list[str]:
        async with Phoenix(*_phoenix(phoenix)) as server:
            await server.check()
            found = await server.client.datasets.list()
            return [f"{each['name']}  ({each['example_count']} examples)" for each in found]

    for line in asyncio.run(names()):
        typer.echo(line)


def _load(
    dataset: str,
    columns: str | None,
    examples: str,
    seed: int,
    stratify_by: str,
    name: str | None,
    phoenix: str | None,
) -> Dataset:
    """The dataset; what should be known of how it was read goes to standard error."""
    from qa_eval import load_dataset

    url, key = _phoenix(phoenix) if dataset.startswith("phoenix:") else (None, None)
    loaded = load_dataset(
        dataset,
        columns=columns,
        examples=count(examples),
        seed=seed,
        stratify_by=stratify_by,
        name=name,
        phoenix_url=url,
        phoenix_key=key,
    )
    for note in loaded.notes:
        typer.echo(note, err=True)
    return loaded


def _lines(example: Example, dataset: Dataset) -> list[str]:
    """One example, as `show` prints it."""
    missing = "(unanswerable)" if dataset.has_references(example) else "(none)"
    lines = [f"{example.id}  {example.group}"]
    lines += [f"  {line}" for line in example.context.splitlines() if line.strip()]
    lines.append(f"  Question: {example.question.strip()}")
    lines.append(f"  References: {' | '.join(dict.fromkeys(example.references)) or missing}")
    if example.metadata:
        lines.append("  Metadata: " + ", ".join(f"{name}: {value}" for name, value in example.metadata.items()))
    return lines


def _phoenix(url: str | None) -> tuple[str, str | None]:
    """The Phoenix to talk to, and its key."""
    from qa_eval import stack

    if url is not None:
        return url, os.environ.get("PHOENIX_API_KEY")
    running = stack.find()
    if running is None:
        raise InputError("No Phoenix given: use --phoenix URL, or start the local stack with `qa-eval stack up`.")
    return running.phoenix_url, running.phoenix_key
