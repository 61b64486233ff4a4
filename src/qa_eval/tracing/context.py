"""The trace of one answer: its ids, which the gateway's spans and those of this process join."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SYSTEM = "qa_eval.system"
"""The attribute of a span that names the system of its question."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """W3C trace context: the ids of a trace and of the question's span in it."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    system: str = ""
    """The system that is asked: it decides the Phoenix project of the trace."""

    @property
    def traceparent(self) -> str:
        """The header that carries it, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


def new_trace(system: str) -> TraceContext:
    """A new trace for one question of a system."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8), system)


def child_of(trace: TraceContext) -> TraceContext:
    """A new span in a trace."""
    return TraceContext(trace.trace_id, secrets.token_hex(8), trace.system)


def current() -> TraceContext | None:
    """What this runs within."""
    from opentelemetry import context, trace

    ids = trace.get_current_span().get_span_context()
    if not ids.is_valid:
        return None
    system = context.get_value(SYSTEM)
    return TraceContext(trace.format_trace_id(ids.trace_id), trace.format_span_id(ids.span_id), str(system or ""))


@contextmanager
def within(trace: TraceContext | None) -> Iterator[None]:
    """Spans that start in here are the question's children; None changes nothing."""
    if trace is None:
        yield
        return
    from opentelemetry import context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    ids = SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), False, TraceFlags(TraceFlags.SAMPLED))
    token = context.attach(
        context.set_value(SYSTEM, trace.system, set_span_in_context(NonRecordingSpan(ids), context.Context()))
    )
    try:
        yield
    finally:
        context.detach(token)
