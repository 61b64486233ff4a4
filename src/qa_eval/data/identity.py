"""What an example is recognised by: a canonical text of its content, and the digests that are made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def content_text(
    question: str, context: str, references: Sequence[str], group: str, metadata: Mapping[str, Any]
) -> str:
    """The content of an example, without its id, as canonical JSON: the same content gives the same text anywhere."""
    return _CANONICAL.encode([question, context, references, group, metadata])


def digest(text: str) -> bytes:
    """SHA-256 of a text; not `hash`, which differs from process to process."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def group_of_context(context: str) -> str:
    """The group of the examples that share this context, where the data names none."""
    return f"context {digest(context).hex()[:8]}"
