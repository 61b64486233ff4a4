"""The registry: every kind of dataset, a line each. The first that accepts an address opens it."""

from __future__ import annotations

from difflib import get_close_matches

from qa_eval.data.sources import delimited, hub, json_file, json_lines, parquet, phoenix, squad
from qa_eval.data.sources.base import Kind, Request, Source
from qa_eval.errors import DatasetError

KINDS: tuple[Kind, ...] = (
    squad.KIND,
    hub.SQUAD_KIND,
    hub.KIND,
    phoenix.KIND,
    delimited.KIND,
    json_lines.KIND,
    json_file.KIND,
    parquet.KIND,
)
_NAMES = (*squad.BUNDLED, *hub.SQUAD)


def open_source(request: Request) -> Source:
    """The source at an address.

    Raises:
        DatasetError: No kind accepts it, or it is missing or broken.
        InputError: What the kind needs besides is not given.
    """
    kind = next((kind for kind in KINDS if kind.accepts(request.address)), None)
    if kind is not None:
        return kind.open(request)
    raise DatasetError(_unknown(request))


def _unknown(request: Request) -> str:
    path, address = request.path, request.address
    endings = ", ".join(ending for kind in KINDS for ending in kind.endings)
    if path.is_dir():
        return f"{path} is a folder: give the path of a file in it."
    if path.exists():
        return f"{path} has an ending that is not known: give a file that ends in {endings}."
    if address.count("/") == 1 and not path.suffix and not path.is_absolute():
        return f"There is no dataset file {path}: check the path, or give hub:{address} for a dataset of the hub."
    near = get_close_matches(address, _NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else "check the path."
    return f"There is no dataset file {path}: {hint}"
