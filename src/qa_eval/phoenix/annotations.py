"""What people say of spans in Phoenix."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from qa_eval.phoenix.client import Phoenix

_SPANS = 100
"""How many spans are asked about at once: their ids are in the address."""


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """A person's annotation of a span."""

    span_id: str
    label: str
    annotator: str


def human_labels(
    url: str, key: str | None, projects: Sequence[str], span_ids: Sequence[str], name: str
) -> list[HumanLabel]:
    """The labels that people gave to some spans, under one name; annotations of code and models are left out.

    Args:
        url: Phoenix's base URL.
        key: Its API key; None where it needs none.
        projects: Projects that Phoenix does not list, such as those of experiments. A trace is in the project of the
            span that came first, so the listed ones are asked too.
        span_ids: The spans.
        name: The annotations' name.

    Raises:
        PhoenixError: Phoenix is not there, or refuses.
    """
    return asyncio.run(_human_labels(url, key, projects, span_ids, name))


async def _human_labels(
    url: str, key: str | None, projects: Sequence[str], span_ids: Sequence[str], name: str
) -> list[HumanLabel]:
    async with Phoenix(url, key) as phoenix:
        await phoenix.check()
        listed = [str(each["name"]) for each in (await phoenix.get("v1/projects?limit=1000") or {}).get("data", [])]
        found = [
            each
            for project in dict.fromkeys((*projects, *listed))
            for start in range(0, len(span_ids), _SPANS)
            async for each in _annotations(phoenix, project, span_ids[start : start + _SPANS], name)
        ]
    return [
        HumanLabel(each["span_id"], str(label), str(each.get("user_id") or each.get("identifier") or "people"))
        for each in found
        if each["annotator_kind"] == "HUMAN" and (label := (each.get("result") or {}).get("label")) is not None
    ]


async def _annotations(
    phoenix: Phoenix, project: str, span_ids: Sequence[str], name: str
) -> AsyncIterator[dict[str, Any]]:
    """All annotations of this name on these spans of a project; none where the project has none of the spans."""
    query = [("include_annotation_names", name), ("limit", "1000"), *(("span_ids", each) for each in span_ids)]
    cursor: str | None = None
    while True:
        more = [] if cursor is None else [("cursor", cursor)]
        address = f"v1/projects/{quote(project, safe='')}/span_annotations?{urlencode([*query, *more])}"
        page = await phoenix.get(address)
        for each in page["data"] if page else ():
            yield each
        cursor = page.get("next_cursor") if page else None
        if cursor is None:
            return
