"""Datasets in Phoenix, as plain records: stable ids, bounded batches, nothing deleted, nothing changed twice.

Phoenix keeps a dataset in versions. Only records that are new or changed are sent (Phoenix upserts by our id), so that
uploading the same subset again makes no new version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import httpx
from phoenix.client import AsyncClient, Client

from qa_eval.errors import PhoenixError, PhoenixUnavailable

BATCH = 500
_READ_S = 300
"""Seconds; a large dataset comes in one answer."""

Record = Mapping[str, Any]
"""`id`, `input`, `output`, `metadata`, and on upload `splits`; as stored also `node_id`, Phoenix's own id."""


@dataclass(frozen=True)
class PhoenixDataset:
    """What an upload left in Phoenix."""

    id: str
    version_id: str
    name: str
    node_ids: Mapping[str, str]
    """Phoenix's id of each example, by ours."""
    changed: int
    """How many examples this upload added or changed."""


@dataclass(frozen=True)
class StoredDataset:
    """One version of a dataset with its records."""

    id: str
    version_id: str
    name: str
    description: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Upload:
    """Records, and the name under which Phoenix is to hold exactly these."""

    name: str
    records: Sequence[Record]
    description: str = ""
    other_name: str | None = None
    """The name to take where the first is in use for other examples; None: that is an error."""


async def upload_records(client: AsyncClient, upload: Upload, *, log: Callable[[str], None]) -> PhoenixDataset:
    """Make Phoenix hold exactly these records under the name.

    Args:
        client: Phoenix's client.
        upload: What to upload.
        log: Called with a line after each batch, and where the other name had to be taken.

    Raises:
        PhoenixError: A dataset of this name holds other examples, which an upload must not delete.
        httpx.HTTPError: Phoenix cannot be reached or refuses.
    """
    name, stored = upload.name, await _stored(client, upload.name)
    others = _others(upload, stored)
    if others and upload.other_name is not None:
        name, stored = upload.other_name, await _stored(client, upload.other_name)
        log(f"Phoenix has other examples under {upload.name!r}: these are under {name!r}.")
        others = _others(upload, stored)
    if others:
        raise PhoenixError(
            f"Phoenix already has a dataset {name!r} with {len(others)} examples that are not in this one "
            f"(for example {min(others)!r}): choose another name with `dataset_name`."
        )
    present = {} if stored is None else {example["id"]: example for example in stored.examples}
    pending = [record for record in upload.records if not _same(record, present.get(record["id"]))]
    for start in range(0, len(pending), BATCH):
        batch = pending[start : start + BATCH]
        if stored is None:
            stored = await client.datasets.create_dataset(
                name=name, examples=batch, dataset_description=upload.description
            )
        else:
            stored = await client.datasets.add_examples_to_dataset(dataset=name, examples=batch)
        log(f"Dataset {name}: {min(start + BATCH, len(pending))} of {len(pending)} examples in Phoenix")
    assert stored is not None, "a dataset is never empty"
    return PhoenixDataset(
        id=stored.id,
        version_id=stored.version_id,
        name=stored.name,
        node_ids={example["id"]: example["node_id"] for example in stored.examples},
        changed=len(pending),
    )


def fetch_dataset(url: str, key: str | None, name: str, version_id: str | None = None) -> StoredDataset:
    """A dataset as Phoenix holds it; nothing is changed.

    Args:
        url: Phoenix's address.
        key: Its API key, if it wants one.
        name: The dataset's name or id.
        version_id: Which version; None for the latest.

    Raises:
        PhoenixUnavailable: Phoenix does not answer.
        PhoenixError: It refuses the key, or has no such dataset or version.
    """
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=_READ_S) as http:
            client = Client(http_client=http)
            try:
                found = client.datasets.get_dataset(dataset=name, version_id=version_id, timeout=_READ_S)
            except ValueError:
                raise _unknown(client, url, name) from None
    except httpx.HTTPStatusError as error:
        raise _refused(url, name, version_id, error.response.status_code) from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise PhoenixUnavailable(f"No Phoenix answers at {url}: start it, or check `phoenix`.") from None
    except (KeyError, TypeError):
        raise PhoenixError(f"{url} does not answer as Phoenix: check `phoenix`.") from None
    return StoredDataset(found.id, found.version_id, found.name, found.description or "", tuple(found.examples))


def _unknown(client: Client, url: str, name: str) -> PhoenixError:
    try:
        names = [str(each["name"]) for each in client.datasets.list()]
    except (ValueError, KeyError, TypeError):
        return PhoenixError(f"{url} does not answer as Phoenix: check `phoenix`.")
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`qa-eval datasets list` lists those it has."
    return PhoenixError(f"Phoenix at {url} has no dataset {name!r}: {hint}")


def _refused(url: str, name: str, version_id: str | None, status: int) -> PhoenixError:
    if status in (401, 403):
        return PhoenixError(f"Phoenix at {url} refuses the key: set PHOENIX_API_KEY to a valid one.")
    if status >= 500:
        return PhoenixUnavailable(f"Phoenix at {url} answers with HTTP {status}: see its log.")
    version = f" in version {version_id!r}" if version_id else ""
    return PhoenixError(f"Phoenix at {url} has no dataset {name!r}{version} (HTTP {status}): check the name.")


async def _stored(client: AsyncClient, name: str) -> Any:
    try:
        return await client.datasets.get_dataset(dataset=name)
    except ValueError:  # "Dataset not found"
        return None


def _others(upload: Upload, stored: Any) -> set[str]:
    """The ids of the stored examples that are not among those to upload."""
    present = set() if stored is None else {str(example["id"]) for example in stored.examples}
    return present - {record["id"] for record in upload.records}


def _same(record: Record, stored: Record | None) -> bool:
    return stored is not None and all(record[key] == stored[key] for key in ("input", "output", "metadata"))
