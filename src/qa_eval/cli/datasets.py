"""`qa-eval datasets`: look at questions before they cost anything, and put them into Phoenix."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.options import setting
from qa_eval.spec.settings import BY_KEYWORD
from qa_eval.words import from_here

if TYPE_CHECKING:
    from qa_eval.data import Dataset, Example

app = typer.Typer(help="Show datasets, and load them into Phoenix.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[str, typer.Argument(metavar="DATASET", help=BY_KEYWORD["dataset"].help)]
Columns = Annotated[str | None, setting("columns")]
Examples = Annotated[str | None, setting("examples")]
Seed = Annotated[str | None, setting("seed")]
Strata = Annotated[str | None, setting("stratify_by")]
PhoenixUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A running Phoenix; its key: PHOENIX_API_KEY.  [default: the local stack's]"),
]


@app.command()
def show(
    dataset: Source = "sample",
    columns: Columns = None,
    examples: Annotated[str, typer.Option(metavar="N|all", help="Number of examples.")] = "5",
    seed: Seed = None,
    stratify_by: Strata = None,
    phoenix: PhoenixUrl = None,
) -> None:
    """Show questions with their context, references and metadata."""
    loaded = _load(phoenix, dataset=dataset, columns=columns, examples=examples, seed=seed, stratify_by=stratify_by)
    for example in loaded:
        typer.echo("\n".join(_lines(example, loaded)) + "\n")
    typer.echo(f"{loaded.name}: {loaded.size}", err=True)


@app.command()
def load(
    dataset: Source = "sample",
    columns: Columns = None,
    examples: Examples = None,
    seed: Seed = None,
    stratify_by: Strata = None,
    dataset_name: Annotated[str | None, setting("dataset_name")] = None,
    phoenix: PhoenixUrl = None,
) -> None:
    """Load a dataset into Phoenix; loading it again changes nothing."""
    from qa_eval.data.upload import upload_dataset
    from qa_eval.phoenix.client import Phoenix
    from qa_eval.servers import phoenix_server

    async def upload(loaded: Dataset) -> str:
        async with Phoenix(*phoenix_server(phoenix)) as server:
            await server.check()
            stored = await upload_dataset(server.client, loaded, log=partial(typer.echo, err=True))
            summary = f"{stored.name}: {len(stored.node_ids)} examples, {stored.changed} new or changed"
            return f"{summary}\n{server.url}/datasets/{stored.id}"

    loaded = _load(
        phoenix,
        dataset=dataset,
        columns=columns,
        examples=examples,
        seed=seed,
        stratify_by=stratify_by,
        dataset_name=dataset_name,
    )
    typer.echo(asyncio.run(upload(loaded)))


@app.command("list")
def list_(phoenix: PhoenixUrl = None) -> None:
    """List the datasets in Phoenix."""
    from qa_eval.phoenix.client import Phoenix
    from qa_eval.servers import phoenix_server

    async def names() -> list[str]:
        async with Phoenix(*phoenix_server(phoenix)) as server:
            await server.check()
            found = await server.client.datasets.list()
            return [f"{each['name']}  ({each['example_count']} examples)" for each in found]

    for line in asyncio.run(names()):
        typer.echo(line)


def _load(phoenix: str | None, **given: str | None) -> Dataset:
    """The dataset of these settings; what should be known of how it was read goes to standard error."""
    from qa_eval.data.load import read_dataset
    from qa_eval.servers import phoenix_server
    from qa_eval.spec.load import build_spec

    spec = build_spec(given).spec.dataset
    url, key = phoenix_server(phoenix) if spec.phoenix else (None, None)
    loaded = read_dataset(spec, phoenix_url=url, phoenix_key=key)
    for note in loaded.notes:
        typer.echo(from_here(note), err=True)
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
