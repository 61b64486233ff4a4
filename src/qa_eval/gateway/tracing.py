"""One trace an answer: the question's span, the SDK's call and, through `traceparent`, the gateway's own spans.

Spans leave in batches, in a thread of their own, so that exporting never distorts a latency. Each trace goes to the
Phoenix project of its experiment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from openinference.instrumentation.litellm import LiteLLMInstrumentor
from openinference.semconv.resource import ResourceAttributes
from openinference.semconv.trace import OpenInferenceSpanKindValues, SpanAttributes
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

EXPORT_EVERY_MS = 200
"""Phoenix keeps a trace in the project of the span that arrives first: ours should come before the gateway's, which
sends every 5 s. A trace whose question ends just before that may still stand in the gateway's project."""


@dataclass
class QuestionSpan:
    """The root span of one answer."""

    trace_id: str
    traceparent: str
    _span: trace.Span

    def finish(self, answer: str, failure: str | None) -> None:
        """Say what came of it: the answer, or the name and message of the failure."""
        self._span.set_attribute(SpanAttributes.OUTPUT_VALUE, answer)
        status = trace.StatusCode.OK if failure is None else trace.StatusCode.ERROR
        self._span.set_status(trace.Status(status, failure))


class Tracing:
    """Sends the traces of a run to Phoenix; as a context manager it instruments the SDK meanwhile."""

    def __init__(self, phoenix_url: str, headers: dict[str, str]) -> None:
        self._projects: dict[int, str] = {}
        exporter = OTLPSpanExporter(endpoint=f"{phoenix_url.rstrip('/')}/v1/traces", headers=headers)
        self._provider = TracerProvider(shutdown_on_exit=False)
        batches = BatchSpanProcessor(_ProjectExporter(exporter, self._projects), schedule_delay_millis=EXPORT_EVERY_MS)
        self._provider.add_span_processor(batches)
        self._tracer = self._provider.get_tracer("qa_eval")
        self._instrumentor = LiteLLMInstrumentor()

    def __enter__(self) -> Tracing:
        self._instrumentor.instrument(tracer_provider=self._provider)
        return self

    def __exit__(self, *_: object) -> None:
        self._instrumentor.uninstrument()
        self._provider.shutdown()

    def flush(self) -> None:
        """Send what is waiting; blocks until it is sent, 30 s at most."""
        self._provider.force_flush()

    @contextmanager
    def question(self, project: str, question: str, **metadata: str) -> Iterator[QuestionSpan]:
        """Open the root span of one question; what is called inside becomes part of its trace."""
        attributes = {
            SpanAttributes.OPENINFERENCE_SPAN_KIND: OpenInferenceSpanKindValues.CHAIN.value,
            SpanAttributes.INPUT_VALUE: question,
            **{f"qa_eval.{key}": value for key, value in metadata.items()},
        }
        with self._tracer.start_as_current_span("question", attributes=attributes, context=Context()) as span:
            context = span.get_span_context()
            self._projects[context.trace_id] = project
            trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
            yield QuestionSpan(trace_id, f"00-{trace_id}-{span_id}-01", span)


class _ProjectExporter(SpanExporter):
    """Gives each span the Phoenix project of its trace, then exports it.

    Phoenix reads the project from the resource, which OpenTelemetry fixes per provider; one provider serves all
    experiments of a run here.
    """

    def __init__(self, exporter: SpanExporter, projects: dict[int, str]) -> None:
        self._exporter = exporter
        self._projects = projects

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([self._placed(span) for span in spans])

    def _placed(self, span: ReadableSpan) -> ReadableSpan:
        context = span.context
        assert context is not None, "an ended span has a context"
        # The root ends last: nothing of its trace comes after it.
        root = span.parent is None
        project = (self._projects.pop if root else self._projects.get)(context.trace_id, "default")
        return _with_project(span, project)

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _with_project(span: ReadableSpan, project: str) -> ReadableSpan:
    fields: dict[str, Any] = {
        "name": span.name,
        "context": span.context,
        "parent": span.parent,
        "resource": span.resource.merge(Resource({ResourceAttributes.PROJECT_NAME: project})),
        "attributes": span.attributes,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    return ReadableSpan(**fields)
