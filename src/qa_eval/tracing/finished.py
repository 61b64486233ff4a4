"""The questions' own spans, made from the journal.

A span's ids were fixed when the question was asked, and the gateway's spans joined them. Sending from the journal
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
class QuestionSpan:
    """The root span of one question's trace."""

    trace_id: str
    span_id: str
    project: str
    """The Phoenix project of the experiment."""
    started_at: datetime
    latency_s: float
    failure: str | None
    """Why there is no answer; None where there is one."""
    attributes: Mapping[str, Any]
    question: str | None = None
    """None keeps it out of the span."""
    answer: str | None = None


def readable_spans(spans: Iterable[QuestionSpan]) -> list[ReadableSpan]:
    """Spans as OpenTelemetry exports them, each in its project."""
    resources: dict[str, Resource] = {}
    readable = []
    for span in spans:
        if span.project not in resources:
            resources[span.project] = Resource({ResourceAttributes.PROJECT_NAME: span.project})
        readable.append(_readable(span, resources[span.project]))
    return readable


def _readable(span: QuestionSpan, resource: Resource) -> ReadableSpan:
    start = int(span.started_at.timestamp() * 1e9)
    attributes = {
        SpanAttributes.OPENINFERENCE_SPAN_KIND: OpenInferenceSpanKindValues.CHAIN.value,
        SpanAttributes.INPUT_VALUE: span.question,
        SpanAttributes.OUTPUT_VALUE: span.answer,
        **span.attributes,
    }
    return ReadableSpan(
        name="question",
        context=SpanContext(
            trace_id=int(span.trace_id, 16),
            span_id=int(span.span_id, 16),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        ),
        resource=resource,
        attributes={name: value for name, value in attributes.items() if value is not None},
        status=Status(StatusCode.OK) if span.failure is None else Status(StatusCode.ERROR, span.failure),
        start_time=start,
        end_time=start + int(span.latency_s * 1e9),
    )
