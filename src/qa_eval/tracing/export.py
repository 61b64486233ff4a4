"""Finished spans to Phoenix, by the exporter of `phoenix.otel`: encoding and posting are its business."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from openinference.semconv.resource import ResourceAttributes
from openinference.semconv.trace import SpanAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from phoenix.otel import HTTPSpanExporter

from qa_eval.errors import PhoenixUnavailable
from qa_eval.litellm_sdk import provider_name
from qa_eval.tracing.finished import FinishedSpan, readable_spans

_POST_S = 10
"""How long one export may take, its own tries included."""

# A failed export is tried again and, in the end, reported by us: OpenTelemetry's lines would only repeat it.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


def span_exporter(url: str, headers: Mapping[str, str]) -> HTTPSpanExporter:
    """An exporter to the Phoenix at this address."""
    return HTTPSpanExporter(endpoint=f"{url}/v1/traces", headers=dict(headers), timeout=_POST_S)


class SpanSender:
    """Sends the questions' spans; Phoenix leaves a span that it has as it is."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._exporter = span_exporter(url, headers)

    async def send(self, spans: Sequence[FinishedSpan]) -> None:
        """Send some spans, in a thread.

        Raises:
            PhoenixUnavailable: Phoenix does not take them.
        """
        if spans and await asyncio.to_thread(self._export, spans) is not SpanExportResult.SUCCESS:
            raise PhoenixUnavailable("Phoenix does not take the traces: see its log; the journal keeps the answers.")

    def _export(self, spans: Sequence[FinishedSpan]) -> SpanExportResult:
        return self._exporter.export(readable_spans(spans))


def moved(span: ReadableSpan, project: str) -> ReadableSpan:
    """The same span in another Phoenix project, its model named as the provider and Phoenix's prices do."""
    attributes = dict(span.attributes or {})
    if isinstance(model := attributes.get(SpanAttributes.LLM_MODEL_NAME), str):
        attributes[SpanAttributes.LLM_MODEL_NAME] = provider_name(model)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource.merge(Resource({ResourceAttributes.PROJECT_NAME: project})),
        attributes=attributes,
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
