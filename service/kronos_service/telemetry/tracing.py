"""Traces through OpenTelemetry: a server span for each API request, and children for the parts of its time.

They are set up from the usual OTEL_ variables. Without those, nothing of the SDK is imported. FastAPI has spans of
its own, but they end before it is known whether the client took the answer, and call one that left a fault.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, StatusCode

from kronos_mixin import __version__
from kronos_service.telemetry import logs

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from kronos_service.telemetry.exchange import Exchange

TRACE_HEADERS = frozenset(name.encode() for name in propagate.get_global_textmap().fields)
"""The headers that say to which trace a request belongs: as OTEL_PROPAGATORS wants it."""

_FAULTS = frozenset({"error", "timeout", "overloaded", "unavailable"})
"""Outcomes that are faults of the service, as in the objective of availability."""

_SCOPE = "kronos_service"

_log = logs.get_logger("kronos.tracing")


class Trace(NamedTuple):
    """A trace and a span in it, as 32 and 16 lower-case hexadecimal digits."""

    trace_id: str
    span_id: str


class Part(NamedTuple):
    """A part of a request's time, by ``time.perf_counter``; ``within`` names the part that it belongs to."""

    name: str
    started: float
    ended: float
    within: str | None
    attributes: Mapping[str, str | int | float]


def caller_context(headers: Mapping[str, list[str]]) -> Context | None:
    """The context that a caller hands on in the TRACE_HEADERS; None without one that is valid."""
    if not headers or len(headers.get("traceparent", ())) > 1:
        return None
    extracted = propagate.extract(headers, context=context.Context())
    return extracted if trace.get_current_span(extracted).get_span_context().is_valid else None


def trace_in(spans: Context | None) -> Trace | None:
    """The trace and the span of a context."""
    return None if spans is None else _ids(trace.get_current_span(spans))


class Tracing:
    """Makes the spans of requests, and hands them to a processor that sends them."""

    def __init__(self, provider: TracerProvider, processor: SpanProcessor) -> None:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        provider.add_span_processor(processor)
        self._provider = provider
        self._processor = processor
        self._tracer = provider.get_tracer(_SCOPE, __version__)
        # Children are made when they are over, in an eighth of the time that the tracer would take for each.
        self._finished_span = functools.partial(
            ReadableSpan, resource=provider.resource, instrumentation_scope=InstrumentationScope(_SCOPE, __version__)
        )

    @contextmanager
    def span(self, exchange: Exchange, caller: Context | None, scheme: str) -> Iterator[None]:
        """Have a server span for a request to an API route, current until the record of the request is complete."""
        attributes = {
            "http.request.method": exchange.method,
            "http.route": exchange.api_route,
            "url.path": exchange.path,
            "url.scheme": scheme,
            "client.address": exchange.client_address,
        }
        span = self._tracer.start_span(
            f"{exchange.method} {exchange.api_route}",
            context=caller or context.Context(),
            kind=SpanKind.SERVER,
            attributes=attributes,
        )
        exchange.trace = _ids(span)
        exchange.is_traced = span.is_recording()
        before = context.attach(trace.set_span_in_context(span))
        try:
            yield
        finally:
            context.detach(before)
            if exchange.is_traced:
                self._add_children(span, exchange)
                span.set_attributes(_attributes(exchange))
                if exchange.outcome in _FAULTS:
                    span.set_status(StatusCode.ERROR)
            span.end()

    def close(self) -> None:
        """Send what is not sent yet, which can take long if nobody takes it."""
        self._provider.shutdown()

    def _add_children(self, server: trace.Span, exchange: Exchange) -> None:
        offset = server.start_time - round(exchange.started * 1e9)  # type: ignore[attr-defined]
        ids = server.get_span_context()
        parents: dict[str | None, trace.SpanContext] = {None: ids}
        for part in exchange.parts:
            own_id = self._provider.id_generator.generate_span_id()
            own = trace.SpanContext(ids.trace_id, own_id, is_remote=False, trace_flags=ids.trace_flags)
            parents[part.name] = own
            child = self._finished_span(
                part.name,
                own,
                parents[part.within],
                attributes=part.attributes,
                start_time=offset + round(part.started * 1e9),
                end_time=offset + round(part.ended * 1e9),
            )
            self._processor.on_end(child)


def tracing_from_environment() -> Tracing | None:
    """As the OTEL_ variables say; None if they want no traces, or want the impossible, which is logged."""
    environment = {name: value.strip() for name, value in os.environ.items() if value.strip()}

    def variable(*names: str) -> str | None:
        return next((environment[name] for name in names if name in environment), None)

    endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    exporter = variable("OTEL_TRACES_EXPORTER") or ("otlp" if endpoint else "none")
    protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if exporter == "none" or (variable("OTEL_SDK_DISABLED") or "").lower() == "true":
        return None
    if exporter != "otlp":
        reason = f"OTEL_TRACES_EXPORTER={exporter} is not possible: set it to otlp"
    elif protocol != "http/protobuf":
        reason = f"the protocol {protocol} is not possible: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf (port 4318)"
    else:
        try:
            return _set_up()
        except ModuleNotFoundError as error:
            reason = f"{error.name} is missing: install kronos-monitoring[service,otel]"
        except Exception as error:
            reason = f"the OTEL_ variables are not valid: {error}"
    _log.warning("no traces", reason=reason)
    return None


def _set_up() -> Tracing:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    ours = Resource({"service.name": "kronos", "service.version": __version__})
    theirs = Resource.create()
    named = not str(theirs.attributes["service.name"]).startswith("unknown_service")
    # The later one wins.
    provider = TracerProvider(resource=ours.merge(theirs) if named else theirs.merge(ours), shutdown_on_exit=False)
    return Tracing(provider, BatchSpanProcessor(OTLPSpanExporter()))


def _ids(span: trace.Span) -> Trace | None:
    ids = span.get_span_context()
    return Trace(trace.format_trace_id(ids.trace_id), trace.format_span_id(ids.span_id)) if ids.is_valid else None


def _attributes(exchange: Exchange) -> dict[str, Any]:
    attributes = {
        "kronos.request_id": exchange.request_id,
        "kronos.client": exchange.client,
        "kronos.status": exchange.outcome,
        "http.response.status_code": exchange.code,
        "error.type": exchange.problem.kind.slug if exchange.problem is not None else None,
        **{f"kronos.{name}": value for name, value in exchange.fields.items()},
    }
    return {name: value for name, value in attributes.items() if value is not None}
