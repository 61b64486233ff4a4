"""Spans that are made from the journal: the questions' own, and those of judges' calls.

A span's ids were fixed when the call was made, and the gateway's spans joined them. Sending from the journal
keeps exporting out of the latencies, and lets a later process send what Phoenix has missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from openinference.semconv.resource import ResourceAttributes
from openinference.semconv.trace import OpenInferenceSpanKindValues, SpanAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags


@dataclass(frozen=True, slots=True)
class FinishedSpan:
    """A span whose end is known: the root of a question's trace, or a judge's call in it."""

    name: str
    kind: OpenInferenceSpanKindValues

    trace_id: str
    span_id: str
    project: str
    """The Phoenix project of the experiment."""
    started_at: datetime
    latency_s: float
    failure: str | None
    """Why there is no answer; None where there is one."""
    attributes: Mapping[str, Any]
    input: str | None = None
    """None keeps it out of the span."""
    output: str | None = None
    parent_span_id: str | None = None
    """None for a root."""


def readable_spans(spans: Iterable[FinishedSpan]) -> list[ReadableSpan]:
    """Spans as OpenTelemetry exports them, each in its project."""
    resources: dict[str, Resource] = {}
    readable = []
    for span in spans:
        if span.project not in resources:
            resources[span.project] = Resource({ResourceAttributes.PROJECT_NAME: span.project})
        readable.append(_readable(span, resources[span.project]))
    return readable


def _readable(span: FinishedSpan, resource: Resource) -> ReadableSpan:
    start = int(span.started_at.timestamp() * 1e9)
    attributes = {
        SpanAttributes.OPENINFERENCE_SPAN_KIND: span.kind.value,
        SpanAttributes.INPUT_VALUE: span.input,
        SpanAttributes.OUTPUT_VALUE: span.output,
        **span.attributes,
    }
    return ReadableSpan(
        name=span.name,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_span_id) if span.parent_span_id else None,
        resource=resource,
        attributes={name: value for name, value in attributes.items() if value is not None},
        status=Status(StatusCode.OK) if span.failure is None else Status(StatusCode.ERROR, span.failure),
        start_time=start,
        end_time=start + int(span.latency_s * 1e9),
    )


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(
        trace_id=int(trace_id, 16),
        span_id=int(span_id, 16),
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
