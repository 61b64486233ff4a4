"""The trace of one answer: its ids, which the gateway's own spans join through `traceparent`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context: the ids of a trace and of the question's span in it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""

    @property
    def traceparent(self) -> str:
        """The header that carries it, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


def new_trace() -> TraceContext:
    """A new trace for one question."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8))
