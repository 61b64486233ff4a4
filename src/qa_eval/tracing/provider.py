"""Spans of what runs in this process for a question: calls by the `litellm` SDK, the `openai` SDK, LangChain, ...

A task, a custom metric or a direct call runs `within` its question's trace, so that the spans of any installed
OpenInference instrumentor become the question's children. They are exported beside the run, to the Phoenix project of
the question's experiment. Phoenix away: they wait, at most 2,048 of them; no answer waits for them.

An instrumentor changes its library for the whole process. Those that are on already are left to whoever turned them
on; those of a run are turned off at its end.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from typing import Any

from opentelemetry.context import Context, get_value
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import get_current_span
from phoenix.otel import BatchSpanProcessor, TracerProvider
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_when_event_set,
    wait_exponential,
)

from qa_eval.litellm_sdk import sdk
from qa_eval.tracing.context import SYSTEM
from qa_eval.tracing.export import moved, span_exporter

_INSTRUMENTORS = "openinference_instrumentor"
"""The entry points of OpenInference's instrumentors."""
_LITELLM = "openinference.instrumentation.litellm"
_RECENT_S = 60.0
"""How long spans are kept that Phoenix has taken."""
_CLOSING_S = 20.0
"""How long the spans that are left at the end of a run may take."""


class NestedSpans:
    """The spans below the questions' own, on their way to Phoenix."""

    def __init__(self, url: str, headers: Mapping[str, str], outages: Callable[[], int]) -> None:
        """
        Args:
            url: Phoenix's address.
            headers: Sent with every export.
            outages: How often Phoenix was away until now.
        """
        self._exporter = _ProjectExporter(url, headers, outages)
        self.provider = TracerProvider(endpoint=f"{url}/v1/traces", protocol="http/protobuf", verbose=False)
        self.provider.add_span_processor(_SystemMark())
        self.provider.add_span_processor(BatchSpanProcessor(span_exporter=self._exporter))

    def send_to(self, projects: Mapping[str, str]) -> None:
        """The Phoenix project of each system's experiment: from now on spans can be exported."""
        self._exporter.projects = projects
        self._exporter.ready.set()

    def close(self) -> None:
        """Export what is left, if Phoenix takes it in time."""
        if self._exporter.ready.is_set():
            # A flush waits for the exporter whatever its own time limit says.
            patience = threading.Timer(_CLOSING_S, self._exporter.closing.set)
            patience.start()
            self.provider.force_flush()
            self._exporter.send_again()
            patience.cancel()
        self._exporter.closing.set()
        self._exporter.ready.set()
        self.provider.shutdown()


@contextmanager
def instrumented(spans: NestedSpans, *, content: bool) -> Iterator[None]:
    """Every installed OpenInference instrumentor that nobody has turned on is on in here.

    Args:
        spans: Where its spans go.
        content: Whether spans may hold what was sent and answered. Such a call goes past the gateway, which masks, so
            that it takes OpenInference's own variables besides, `OPENINFERENCE_HIDE_INPUTS=false` and
            `OPENINFERENCE_HIDE_OUTPUTS=false`.
    """
    from openinference.instrumentation import TraceConfig

    sdk()  # its instrumentor would import it with a price map from the network
    config = TraceConfig(
        hide_inputs=None if content and "OPENINFERENCE_HIDE_INPUTS" in os.environ else True,
        hide_outputs=None if content and "OPENINFERENCE_HIDE_OUTPUTS" in os.environ else True,
    )
    ours: list[Any] = []
    try:
        for instrumentor in _installed():
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument(tracer_provider=spans.provider, config=config)
                ours.append(instrumentor)
        yield
    finally:
        for instrumentor in ours:
            instrumentor.uninstrument()


def _installed() -> Iterator[Any]:
    """The installed instrumentors, but for those whose library is missing."""
    for entry_point in entry_points(group=_INSTRUMENTORS):
        with suppress(ImportError):
            yield entry_point.load()()


def _failed(result: SpanExportResult) -> bool:
    return result is not SpanExportResult.SUCCESS


class _SystemMark(SpanProcessor):
    """Notes on each span whose question it belongs to."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """See `SpanProcessor`; below a call by the LiteLLM SDK, the `openai` SDK's span is the same call again."""
        system, parent = get_value(SYSTEM, parent_context), get_current_span(parent_context)
        scope = getattr(parent, "instrumentation_scope", None)
        if isinstance(system, str) and (scope is None or scope.name != _LITELLM):
            span.set_attribute(SYSTEM, system)


class _ProjectExporter(SpanExporter):
    """Exports each span to the project of its system, and tries until Phoenix takes it or the run closes."""

    def __init__(self, url: str, headers: Mapping[str, str], outages: Callable[[], int]) -> None:
        self._exporter = span_exporter(url, headers)
        self._outages, self._seen_outages = outages, 0
        self.projects: Mapping[str, str] = {}
        self.ready = threading.Event()
        self.closing = threading.Event()
        self._recent: deque[tuple[float, Sequence[ReadableSpan]]] = deque()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`; spans of no question are left out."""
        self.ready.wait()
        named = [(span, self.projects.get(str((span.attributes or {}).get(SYSTEM)))) for span in spans]
        ours = [moved(span, project) for span, project in named if project is not None]
        if not ours:
            return SpanExportResult.SUCCESS
        retrying = Retrying(
            retry=retry_if_result(_failed) | retry_if_exception_type(),
            wait=wait_exponential(0.5, max=15.0),
            stop=stop_when_event_set(self.closing),
            sleep=self._wait,
        )
        try:
            result = retrying(self._exporter.export, ours)
        except RetryError:
            return SpanExportResult.FAILURE
        self.send_again()
        self._recent.append((time.monotonic(), ours))
        return result

    def send_again(self) -> None:
        """Send what Phoenix took shortly before it went away, if it did: it takes a span before it has stored it."""
        if self._outages() > self._seen_outages:
            self._seen_outages = self._outages()
            for _, spans in self._recent:
                self._exporter.export(spans)
        while self._recent and time.monotonic() - self._recent[0][0] > _RECENT_S:
            self._recent.popleft()

    def _wait(self, seconds: float) -> None:
        self.closing.wait(seconds)

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `SpanExporter`."""
        return self._exporter.force_flush(timeout_millis)
