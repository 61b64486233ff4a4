"""From what the user names to a dataset: a source is opened, checked whole, and cut to the wished subset.

While a source is checked, digests of all examples are kept and the few examples that will most likely be chosen; what
is chosen besides is read again. So a subset of a large file needs little memory.

Names in Phoenix: the whole sample is `qa-eval-sample`, the default 100 questions of SQuAD's development set are
`squad-qa-evaluation`; every other subset carries its size, its seed and, where it is stratified, by what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from qa_eval.data.examples import Dataset, Example, PhoenixOrigin, SquadVersion
from qa_eval.data.sources.base import OFFICIAL_FILE, Found, Request, Source
from qa_eval.data.sources.registry import open_source
from qa_eval.data.sources.squad import SAMPLE as SAMPLE
from qa_eval.data.subset import STRATA, Index, Positions, Shortlist, canonical_stratum
from qa_eval.errors import DatasetError, InputError
from qa_eval.spec.model import ColumnsSpec, DatasetSpec, parse_dataset

DEFAULT_EXAMPLES = 100
DEFAULT_SEED = 0
SHORTLIST, MOST_KEPT = 4, 10_000
"""How many examples are kept while a source is checked: so many for each that is asked for, and no more than these."""
_UNSET: Any = type("Unset", (), {"__repr__": lambda self: "..."})()


def load_dataset(
    dataset: str | Path | DatasetSpec = SAMPLE,
    *,
    columns: ColumnsSpec | Mapping[str, str | Sequence[str]] | str | None = None,
    examples: int | Literal["all"] | None = _UNSET,
    seed: int = _UNSET,
    stratify_by: str = _UNSET,
    name: str | None = None,
    phoenix_url: str | None = None,
    phoenix_key: str | None = None,
) -> Dataset:
    """Load a dataset, or a subset of it.

    Args:
        dataset: `sample` for the bundled 100 questions, `sample-free` for 20 with free answers; `squad` or
            `squad_v2` for SQuAD's development set; the path of a file (CSV, TSV, JSON Lines, JSON, Parquet, or
            official SQuAD JSON); `hub:ORG/NAME` for a dataset of the Hugging Face hub; `phoenix:NAME` for one in
            Phoenix; or a specification, which the other arguments override.
        columns: Which columns hold what, as a mapping or as text: `question=q,references=a+b,group=c`. What is not
            named is found by the usual names.
        examples: Number of examples, 100 if not given; `all` (or None) for all, in the file's order. A smaller
            subset is a prefix of a larger one.
        seed: Random seed of the subset, 0 if not given; the same seed takes the same examples on every machine.
        stratify_by: Keep each stratum's proportion: `difficulty`, `group`, `question-type`, a column, or `none`.
        name: Name of the dataset in Phoenix, where the derived one does not suit.
        phoenix_url: Phoenix's URL, for `phoenix:NAME`.
        phoenix_key: Phoenix's API key, if it needs one.

    Raises:
        DatasetError: The dataset is missing, broken or empty; the first broken example is named.
        InputError: `examples` is not positive, `stratify_by` is not a column, or `phoenix:NAME` lacks its Phoenix.
        PhoenixError: Phoenix cannot be reached, or has no such dataset.
    """
    given = {
        "columns": columns,
        "examples": "all" if examples is None else examples,
        "seed": seed,
        "stratify_by": stratify_by,
        "name": name,
    }
    spec = _spec(dataset, {key: value for key, value in given.items() if value is not None and value is not _UNSET})
    return read_dataset(spec, phoenix_url=phoenix_url, phoenix_key=phoenix_key)


def read_dataset(spec: DatasetSpec, *, phoenix_url: str | None = None, phoenix_key: str | None = None) -> Dataset:
    """The dataset of a specification; see `load_dataset`."""
    source = open_source(Request(spec.address, spec.columns, phoenix_url, phoenix_key))
    stratify_by = canonical_stratum(spec.stratify_by)
    index, version, kept = _scan(source, spec, stratify_by)
    dropped, conflict = index.repeated()
    if conflict is not None:
        raise DatasetError(_conflict(source, index, *conflict))
    available = len(index) - len(dropped)
    wanted = available if spec.examples == "all" else min(int(spec.examples), available)
    positions = _positions(index, dropped) if spec.examples == "all" else index.order(dropped)[:wanted]
    strata = "" if stratify_by == "none" else f", stratified by {stratify_by}"
    dataset = Dataset(
        name=spec.name or _name(source.stem, wanted, available, spec.seed, stratify_by),
        examples=_examples(source, index, positions, kept),
        version=version,
        description=f"{wanted} of {available} questions of {source.stem}, seed {spec.seed}{strata}, SQuAD v{version}",
        named=spec.name is not None,
    )
    notes = (*source.notes, *_notes(source, dataset, len(dropped)))
    return replace(dataset, notes=notes, origin=_origin(source.origin, dataset))


def _spec(dataset: str | Path | DatasetSpec, given: Mapping[str, Any]) -> DatasetSpec:
    """The specification, with what is given in place of its own."""
    base = dataset.model_dump(exclude_none=True) if isinstance(dataset, DatasetSpec) else parse_dataset(dataset)
    columns = given.get("columns")
    try:
        return DatasetSpec.model_validate({**base, **given, **({"columns": _columns(columns)} if columns else {})})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, str)) or "dataset"
        what = first["msg"].removeprefix("Value error, ")
        raise InputError(f"`{place}` is {first['input']!r}: {what[:1].lower()}{what[1:]}.") from None


def _columns(columns: ColumnsSpec | Mapping[str, Any] | str) -> Any:
    return columns.model_dump(exclude_none=True) if isinstance(columns, ColumnsSpec) else columns


def _scan(source: Source, spec: DatasetSpec, stratify_by: str) -> tuple[Index, SquadVersion, Mapping[int, Found]]:
    """Check every example; keep what the order needs, and what will most likely be chosen."""
    index = Index(spec.seed, stratify_by)
    shortlist = Shortlist(0 if spec.examples == "all" else min(SHORTLIST * int(spec.examples), MOST_KEPT))
    own_column = stratify_by not in STRATA
    columns: dict[str, None] = {}
    unanswerable = False
    for position, found in enumerate(source.read(None)):
        shortlist.offer(index.add(found), position, found)
        unanswerable = unanswerable or found.unanswerable
        if own_column:
            columns |= dict.fromkeys(found.draft.metadata)
    if not len(index):
        raise DatasetError(f"{source.label} holds no questions: give a file with at least one.")
    if own_column and stratify_by not in columns:
        raise InputError(
            f"`stratify_by` cannot be {stratify_by!r} for {source.label}: give one of {', '.join((*STRATA, *columns))}."
        )
    return index, source.version or ("2.0" if unanswerable else "1.1"), shortlist.founds()


def _positions(index: Index, dropped: Positions) -> list[int]:
    without = set(dropped.tolist())
    return [position for position in range(len(index)) if position not in without]


def _examples(
    source: Source, index: Index, positions: Sequence[int] | Positions, kept: Mapping[int, Found]
) -> tuple[Example, ...]:
    """The examples at some positions, in that order; those that were not kept are read again."""
    founds = dict(kept)
    missing = sorted(int(position) for position in positions if int(position) not in kept)
    if missing:
        founds.update(zip(missing, source.read(missing), strict=False))
    if any(position not in founds or founds[position].content[:16] != index.content(position) for position in missing):
        raise DatasetError(f"{source.label} was changed while it was read: load it again.")
    return tuple(founds[int(position)].draft.example() for position in positions)


def _conflict(source: Source, index: Index, first: int, second: int) -> str:
    found = next(source.read([second]))
    places = " and ".join(f"{source.unit} {index.place(position)}" for position in (first, second))
    return (
        f"{source.label} holds the id {found.draft.id!r} twice with different content ({places}): make ids unique, "
        "or name another column for the id with `columns`."
    )


def _notes(source: Source, dataset: Dataset, dropped: int) -> list[str]:
    notes = []
    if dropped:
        what = (
            f"{source.unit}s of {source.label} equal earlier ones and are"
            if dropped > 1
            else (f"{source.unit} of {source.label} equals an earlier one and is")
        )
        notes.append(f"{dropped:,} {what} left out.")
    missing = len(dataset) - dataset.labelled
    if missing:
        verb = "have" if missing > 1 else "has"
        notes.append(f"{missing:,} of {len(dataset):,} examples {verb} no reference.")
    return notes


def _origin(origin: PhoenixOrigin | None, dataset: Dataset) -> PhoenixOrigin | None:
    """The origin of the chosen examples alone."""
    if origin is None:
        return None
    return replace(origin, node_ids={example.id: origin.node_ids[example.id] for example in dataset})


def _name(stem: str, wanted: int, available: int, seed: int, stratify_by: str) -> str:
    if (stem, wanted, seed, stratify_by) == ("dev-v1.1", DEFAULT_EXAMPLES, DEFAULT_SEED, "none"):
        return "squad-qa-evaluation"
    base = f"squad-{stem}" if OFFICIAL_FILE.fullmatch(stem) else _plain(stem)
    strata = "" if stratify_by == "none" else f"-by-{_plain(stratify_by)}"
    return base if wanted == available else f"{base}-{wanted}-seed-{seed}{strata}"


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
