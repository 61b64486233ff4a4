"""References, marked in a context."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def highlight(context: str, references: Iterable[str]) -> Markup:
    """The context, escaped, with each reference marked wherever it stands."""
    marked = [False] * len(context)
    for reference in {reference for reference in references if reference.strip()}:
        start = context.find(reference)
        while start >= 0:
            marked[start : start + len(reference)] = [True] * len(reference)
            start = context.find(reference, start + 1)
    parts, begin = [], 0
    for place in range(1, len(context) + 1):
        if place == len(context) or marked[place] != marked[begin]:
            text = escape(context[begin:place])
            parts.append(Markup("<mark>{}</mark>").format(text) if marked[begin] else text)
            begin = place
    return Markup("").join(parts)
