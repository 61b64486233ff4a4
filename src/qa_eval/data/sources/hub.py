"""Datasets of the Hugging Face hub: `hub:ORG/NAME[:CONFIG][@REVISION][#SPLIT]`, and SQuAD under its short names.

The library `datasets` downloads and caches them. What it cannot reach it takes from its cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_eval.data.nested import flatten
from qa_eval.data.rows import Row, Table, rows_to_source
from qa_eval.data.sources.base import Kind, Request, Source
from qa_eval.data.sources.parquet import layout_of
from qa_eval.errors import DatasetError

PREFIX = "hub:"
SPLITS = ("validation", "test", "train")
"""Which split is read where none is named: the first that there is."""
_ADDRESS = re.compile(
    r"(?P<name>[^:@#\s]+)(?::(?P<config>[^@#]+))?(?:@(?P<revision>[^#\s]+))?(?:#(?P<split>.+))?", re.DOTALL
)
_MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti")
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Repository:
    """A dataset of the hub."""

    name: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None


SQUAD = {
    "squad": Repository("rajpurkar/squad", None, "7b6d24c440a36b6815f21b70d25016731768db1f", "validation"),
    "squad_v2": Repository("rajpurkar/squad_v2", None, "3ffb306f725f7d2ce8394bc1873b24868140c412", "validation"),
}
"""SQuAD's development sets by the name that the user gives, at a pinned revision."""
_SQUAD_STEMS = {"squad": "dev-v1.1", "squad_v2": "dev-v2.0"}


def open_squad_of_hub(request: Request) -> Source:
    """SQuAD's development set; its rows have the columns and the order of the official file."""
    repository = SQUAD[request.address]
    rows, _ = _load(repository)
    table = _table(rows, repository.name, _SQUAD_STEMS[request.address], "squad")
    return rows_to_source(table, request.columns, describe=request.columns is not None)


def open_hub(request: Request) -> Source:
    """Any dataset of the hub.

    Raises:
        DatasetError: The address is not one, the hub cannot be reached and nothing is cached, or there is no such
            dataset, configuration or split.
    """
    repository = parse_address(request.address.removeprefix(PREFIX))
    rows, split = _load(repository)
    notes = () if repository.split else (f"Split of {repository.name}: {split}.",)
    return rows_to_source(_table(rows, repository.name, repository.name, repository.name, notes), request.columns)


def parse_address(text: str) -> Repository:
    """`ORG/NAME[:CONFIG][@REVISION][#SPLIT]`.

    Raises:
        DatasetError: It is not of this form.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise DatasetError(f"hub:{text} names no dataset of the hub: give hub:ORG/NAME[:CONFIG][@REVISION][#SPLIT].")
    return Repository(**found.groupdict())


def _table(rows: Any, label: str, stem: str, source_name: str, notes: tuple[str, ...] = ()) -> Table:
    media = [name for name, kind in rows.features.items() if type(kind).__name__ in _MEDIA]
    if media:
        rows = rows.remove_columns(media)
        notes = (*notes, f"Left out of {label}, as they are not text: {', '.join(media)}.")
    layout = layout_of(rows.features.arrow_schema)
    return Table(
        label=label,
        stem=stem,
        unit="row",
        names=layout.names,
        rows=lambda positions: _rows(rows, positions),
        hints=layout.hints,
        source_name=source_name,
        notes=notes,
    )


def _rows(rows: Any, positions: Sequence[int] | None) -> Iterator[tuple[int, Row]]:
    if positions is None:  # far faster than one by one
        yield from ((place, flatten(row)) for place, row in enumerate(rows, start=1))
        return
    for position in positions:
        yield position + 1, flatten(rows[position])


def _load(repository: Repository) -> tuple[Any, str]:
    """The rows of the named split, or of the first of the usual ones, and its name."""
    wanted = (repository.split,) if repository.split else SPLITS
    problem: Exception | None = None
    with _cache_only_if_offline(repository):
        for split in wanted:
            try:
                return _load_split(repository, split), split
            except Exception as error:
                # The library raises what its network stack raises; only an unknown split is worth another try.
                problem = error
                if "Unknown split" not in str(error):
                    break
    assert problem is not None, "there is a split to try"
    raise DatasetError(_explain(repository, problem)) from problem


def _load_split(repository: Repository, split: str) -> Any:
    from datasets import load_dataset  # type: ignore[attr-defined]  # mypy takes our folder of that name

    configuration = {"name": repository.config} if repository.config else {}
    return load_dataset(repository.name, **configuration, split=split, revision=repository.revision)


def _explain(repository: Repository, error: Exception) -> str:
    """One sentence for what the library raised."""
    name, text = repository.name, " ".join(str(error).split())
    if "Unknown split" in text:
        there = re.search(r"Should be one of \[(.*?)\]", text)
        splits = there[1].replace("'", "") if there else "its own"
        return f"{name} has no split {repository.split or ' or '.join(SPLITS)}: name one with #SPLIT ({splits})."
    if "Config name is missing" in text or "BuilderConfig" in text:
        there = re.search(r"(?:available configs|Available): \[(.*?)\]", text)
        configs = there[1].replace("'", "") if there else "its own"
        return f"{name} has several configurations: name one as hub:{name}:CONFIG ({configs})."
    return (
        f"{name} cannot be had from the Hugging Face hub ({type(error).__name__}): check the name, go online once, or "
        "give `dataset` as `sample` for the bundled questions or as the path of a file."
    )


@contextmanager
def _cache_only_if_offline(repository: Repository) -> Iterator[None]:
    """Without the hub, let the libraries look into their cache at once, instead of trying for half a minute."""
    import datasets.config
    import huggingface_hub
    import huggingface_hub.constants

    was = huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        huggingface_hub.HfApi().dataset_info(repository.name, revision=repository.revision, timeout=_TIMEOUT_S)
        offline = was
    except Exception:
        offline = True
    huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = offline
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = was


def _is_short_name(address: str) -> bool:
    return address in SQUAD and not Path(address).exists()


SQUAD_KIND = Kind(_is_short_name, open_squad_of_hub)
KIND = Kind(lambda address: address.startswith(PREFIX), open_hub)
