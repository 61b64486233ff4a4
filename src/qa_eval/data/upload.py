"""A dataset into Phoenix; one that is there already is used where it is."""

from __future__ import annotations

from collections.abc import Callable

from phoenix.client import AsyncClient

from qa_eval.data.examples import Dataset
from qa_eval.data.phoenix_records import to_phoenix
from qa_eval.phoenix.datasets import PhoenixDataset, Upload, upload_records


async def upload_dataset(client: AsyncClient, dataset: Dataset, *, log: Callable[[str], None]) -> PhoenixDataset:
    """Make Phoenix hold exactly this dataset; nothing is sent of what it has.

    Args:
        client: Phoenix's client.
        dataset: What to upload. Where Phoenix has other examples under its name and the user did not choose that
            name, the dataset gets a name with its fingerprint.
        log: Called with a line after each batch, and where another name had to be taken.

    Raises:
        PhoenixError: The user chose the name, and Phoenix has other examples under it.
        httpx.HTTPError: Phoenix cannot be reached or refuses.
    """
    if dataset.origin is not None:
        there = dataset.origin
        return PhoenixDataset(there.dataset_id, there.version_id, dataset.name, there.node_ids, changed=0)
    upload = Upload(
        name=dataset.name,
        records=[to_phoenix(example) for example in dataset],
        description=dataset.description,
        other_name=None if dataset.named else f"{dataset.name}-{dataset.fingerprint[:8]}",
    )
    return await upload_records(client, upload, log=log)
