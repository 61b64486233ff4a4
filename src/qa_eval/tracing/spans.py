"""The question's own span of each answer, made from the journal, as OpenTelemetry sends it.

Its ids were fixed when the question was asked, and the gateway's spans joined them. That it is sent from the journal
keeps exporting out of the latencies, and lets a later process send what Phoenix has missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openinference.semconv.resource import ResourceAttributes
from openinference.semconv.trace import OpenInferenceSpanKindValues, SpanAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from qa_eval.experiment.journal_file import Entry


def encode(entries: Sequence[Entry], projects: Mapping[str, str], *, content: bool = True) -> bytes:
    """The spans of some answers, in protocol buffers.

    Args:
        entries: The answers; each gives one span, the root of its trace.
        projects: The Phoenix project of each model's traces.
        content: Whether the spans hold the question and the answer.
    """
    resources = {model: Resource({ResourceAttributes.PROJECT_NAME: project}) for model, project in projects.items()}
    spans = [_span(entry, resources[entry.model], content) for entry in entries if entry.reply.trace_id]
    return bytes(encode_spans(spans).SerializeToString())


def _span(entry: Entry, resource: Resource, content: bool) -> ReadableSpan:
    reply = entry.reply
    start = int(reply.started_at.timestamp() * 1e9)
    failure = None if reply.outcome.is_answer else f"{reply.outcome}: {reply.message}"
    return ReadableSpan(
        name="question",
        context=SpanContext(
            trace_id=int(reply.trace_id or "", 16),
            span_id=int(reply.span_id or "", 16),
            is_remote=False,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
        ),
        resource=resource,
        attributes=_attributes(entry, content),
        status=Status(StatusCode.OK) if failure is None else Status(StatusCode.ERROR, failure),
        start_time=start,
        end_time=start + int(reply.latency_s * 1e9),
    )


def _attributes(entry: Entry, content: bool) -> dict[str, Any]:
    reply = entry.reply
    attributes = {
        SpanAttributes.OPENINFERENCE_SPAN_KIND: OpenInferenceSpanKindValues.CHAIN.value,
        SpanAttributes.INPUT_VALUE: entry.example.question if content else None,
        SpanAttributes.OUTPUT_VALUE: reply.text if content else None,
        "qa_eval.model": entry.model,
        "qa_eval.example": entry.example.id,
        "qa_eval.repetition": entry.repetition,
        "qa_eval.outcome": str(reply.outcome),
        "qa_eval.deployment": reply.deployment_model or reply.deployment,
        "qa_eval.cost_usd": reply.cost_usd,
    }
    return {name: value for name, value in attributes.items() if value is not None}
