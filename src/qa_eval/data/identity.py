"""What an example is recognised by: a canonical text of its content, and the digests that are made of it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _quoted
from typing import Any

_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str, check_circular=False
)


def content_text(
    question: str, context: str, references: Sequence[str], group: str, metadata: Mapping[str, Any]
) -> str:
    """The content of an example, without its id, as canonical JSON: the same content gives the same text anywhere."""
    if not all(type(value) is str for value in metadata.values()):
        return _CANONICAL.encode([question, context, references, group, metadata])
    # The same text, put together from texts alone: rows of CSV come by the million.
    accepted = ",".join([_quoted(reference) for reference in references])
    columns = ",".join([f"{_quoted(name)}:{_quoted(metadata[name])}" for name in sorted(metadata)])
    return f"[{_quoted(question)},{_quoted(context)},[{accepted}],{_quoted(group)},{{{columns}}}]"


def digest(text: str, errors: str = "surrogatepass") -> bytes:
    """SHA-256 of a text; not `hash`, which differs from process to process.

    Raises:
        UnicodeEncodeError: `errors` is `strict`, and half of a surrogate pair stands alone.
    """
    return hashlib.sha256(text.encode("utf-8", errors)).digest()


def group_of_context(context: str) -> str:
    """The group of the examples that share this context, where the data names none."""
    return f"context {zlib.crc32(context.encode('utf-8', 'surrogatepass')):08x}"
