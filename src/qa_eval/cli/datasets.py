"""`qa-eval datasets`: see questions before they cost anything, and put them into Phoenix."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from qa_eval.cli.options import count, stratify
from qa_eval.errors import InputError

if TYPE_CHECKING:
    from qa_eval.data import Dataset

app = typer.Typer(help="See datasets, and load them into Phoenix.", no_args_is_help=True, rich_markup_mode=None)

Source = Annotated[str, typer.Argument(metavar="DATASET", help="`sample`, `squad`, `squad_v2`, or a file's path.")]
Examples = Annotated[str, typer.Option(metavar="N|all", help="How many questions.")]
Seed = Annotated[int, typer.Option(help="Which questions: the same seed takes the same ones.")]
Strata = Annotated[
    str, typer.Option(metavar="difficulty|article|question-type|none", help="Take each kind in its share.")
]
PhoenixUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A running Phoenix; its key: PHOENIX_API_KEY.  [default: the local stack's]"),
]


@app.command()
def show(
    dataset: Source = "sample",
    examples: Examples = "5",
    seed: Seed = 0,
    stratify_by: Strata = "none",
) -> None:
    """Print questions with their context and references."""
    loaded = _load(dataset, examples, seed, stratify_by, None)
    for example in loaded:
        typer.echo(f"{example.id}  [{example.metadata.get('difficulty', '')}]  {example.group}")
        typer.echo(f"  {example.context}")
        typer.echo(f"  Question: {example.question.strip()}")
        typer.echo(f"  References: {' | '.join(dict.fromkeys(example.references)) or '(unanswerable)'}\n")
    typer.echo(repr(loaded), err=True)


@app.command()
def load(
    dataset: Source = "sample",
    examples: Examples = "100",
    seed: Seed = 0,
    stratify_by: Strata = "none",
    dataset_name: Annotated[str | None, typer.Option(metavar="NAME", help="The dataset's name in Phoenix.")] = None,
    phoenix: PhoenixUrl = None,
) -> None:
    """Load a dataset into Phoenix; loading it again changes nothing."""
    from qa_eval.phoenix.client import Phoenix, upload_dataset

    async def upload(loaded: Dataset) -> str:
        async with Phoenix(*_phoenix(phoenix)) as server:
            await server.check()
            stored = await upload_dataset(
                server.client, loaded, report=lambda done, total: typer.echo(f"{done} of {total} sent", err=True)
            )
            told = f"{stored.name}: {len(stored.node_ids)} examples, {stored.changed} new or changed"
            return f"{told}\n{server.url}/datasets/{stored.id}"

    typer.echo(asyncio.run(upload(_load(dataset, examples, seed, stratify_by, dataset_name))))


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


def _load(dataset: str, examples: str, seed: int, stratify_by: str, name: str | None) -> Dataset:
    from qa_eval import load_dataset

    return load_dataset(dataset, examples=count(examples), seed=seed, stratify_by=stratify(stratify_by), name=name)


def _phoenix(url: str | None) -> tuple[str, str | None]:
    """The Phoenix to talk to, and its key."""
    from qa_eval import stack

    if url is not None:
        return url, os.environ.get("PHOENIX_API_KEY")
    running = stack.find()
    if running is None:
        raise InputError("There is no Phoenix: give --phoenix URL, or start the local stack with `qa-eval stack up`.")
    return running.phoenix_url, running.phoenix_key
