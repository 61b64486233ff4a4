"""Datasets in Phoenix, used where they are: `phoenix:NAME[@VERSION]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qa_eval.data.examples import PhoenixOrigin
from qa_eval.data.identity import content_text, digest
from qa_eval.data.nested import SECTIONS, Layout, flatten
from qa_eval.data.phoenix_records import from_phoenix, is_ours, version_of
from qa_eval.data.rows import Table, rows_to_source
from qa_eval.data.sources.base import Draft, Found, Kind, Request, Source, pick
from qa_eval.errors import DatasetError, InputError

if TYPE_CHECKING:
    from qa_eval.phoenix.datasets import StoredDataset

PREFIX = "phoenix:"


def open_phoenix(request: Request) -> Source:
    """A dataset in Phoenix: one of ours as it was uploaded, any other by the rules for columns.

    Raises:
        InputError: No Phoenix is given.
        DatasetError: The address names no dataset.
        PhoenixError: Phoenix cannot be reached, or has no such dataset.
    """
    name, _, version = request.address.removeprefix(PREFIX).partition("@")
    if not name.strip():
        raise DatasetError(f"{request.address} names no dataset: give phoenix:NAME or phoenix:NAME@VERSION.")
    if request.phoenix_url is None:
        raise InputError(
            f"{request.address} needs a running Phoenix: give its URL as `phoenix`, or start the local stack with "
            "`qa-eval stack up`."
        )
    # Phoenix's client takes half a second to load, which other datasets need not wait for.
    from qa_eval.phoenix.datasets import fetch_dataset

    stored = fetch_dataset(request.phoenix_url, request.phoenix_key, name, version or None)
    if not stored.records:
        raise DatasetError(f"The dataset {name!r} in Phoenix has no examples: add some there.")
    if request.columns is None and all(map(is_ours, stored.records)):
        return _ours(stored)
    return _foreign(stored, request)


def _ours(stored: StoredDataset) -> Source:
    examples = [from_phoenix(record) for record in stored.records]

    def read(positions: Sequence[int] | None = None) -> Iterator[Found]:
        for position in range(len(examples)) if positions is None else positions:
            e = examples[position]
            content = (e.question, e.context, e.references, e.group, e.metadata)
            yield Found(position + 1, Draft(e.id, *content), digest(content_text(*content)))

    return Source(
        label=f"{PREFIX}{stored.name}",
        stem=stored.name,
        read=read,
        unit="example",
        version=version_of(stored.description),
        origin=_origin(stored),
    )


def _foreign(stored: StoredDataset, request: Request) -> Source:
    if request.columns is not None and request.columns.id is not None:
        raise InputError("`columns` cannot name an id for a dataset in Phoenix: its examples have their ids there.")
    records = [{key: record[key] for key in ("id", *SECTIONS)} for record in stored.records]
    layout = Layout()
    for record in records:
        layout.add(record)
    rows = [(place, flatten(record)) for place, record in enumerate(records, start=1)]
    table = Table(
        label=f"{PREFIX}{stored.name}",
        stem=stored.name,
        unit="example",
        names=layout.names,
        rows=lambda positions: pick(iter(rows), positions),
        hints=layout.hints,
        source_name=stored.name,
        origin=_origin(stored),
    )
    return rows_to_source(table, request.columns)


def _origin(stored: StoredDataset) -> PhoenixOrigin:
    node_ids = {str(record["id"]): str(record["node_id"]) for record in stored.records}
    return PhoenixOrigin(stored.id, stored.version_id, node_ids)


KIND = Kind(lambda address: address.startswith(PREFIX), open_phoenix)
