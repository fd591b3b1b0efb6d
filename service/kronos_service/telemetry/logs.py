"""Logs: one JSON object per line, for our own events and those of libraries.

No line contains candles, bodies, or header values that were not checked.

Our own loggers (``get_logger``) take the shortest path, because every request logs a line. Those of libraries and of
the forecaster go through the standard library, and end up in the same place.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

FIELDS: dict[str, str] = {
    # Every line.
    "timestamp": "Time in UTC (RFC 3339, microseconds).",
    "level": "`debug`, `info`, `warning` or `error`.",
    "logger": "Name of the logger: `kronos.request`, `kronos.server`, ..., or a library's.",
    "event": "What happened. `request` marks the one line that each request gets when it ends.",
    "container": "Host name of this instance: the name of the pod or container.",
    "pid": "Process id.",
    # Every line of a request, on any thread.
    "request_id": "The caller's X-Request-ID if it is well-formed, else a new one; also in the answer.",
    "trace_id": "Trace id of the caller's `traceparent` header, if that is valid.",
    "span_id": "The caller's span in that trace.",
    # The line of a request.
    "client_address": "Address at the other end of the connection; headers do not change it.",
    "client": "Name that belongs to the API key, or `anonymous`.",
    "method": "HTTP method.",
    "route": "Path of the API, a probe or the scrape; `unmatched` for any other.",
    "path": "The requested path if the route is `unmatched`: escaped, at most 128 characters.",
    "status": "How the request ended, as in the label `status` of kronos_requests_total.",
    "code": "HTTP status code of the answer; absent if no answer could be sent.",
    "request_bytes": "Size of the request body; absent if it was not read completely.",
    "response_bytes": "Size of the response body.",
    "duration_ms": "From the first byte of the request to the last byte of its answer.",
    # Where the time went, and what for.
    "preprocess_ms": "Validating the request and building the arrays, including the wait for a thread.",
    "queue_ms": "Waiting for the model, summed over all waits.",
    "inference_ms": "In the model, summed over all series.",
    "tokenize_ms": "Of that, candles to tokens.",
    "prefill_ms": "Of that, the first pass over the whole window.",
    "decode_ms": "Of that, all further steps, one forecast candle each.",
    "detokenize_ms": "Of that, tokens back to candles.",
    "postprocess_ms": "Correcting the candles and building the answer, including the wait for a thread.",
    "batch": "Series in the request, without refused ones.",
    "refused": "Series that were refused, of a batch that asked for partial success.",
    "candles": "Input candles, summed over the series.",
    "horizon": "Candles to forecast, of the series with the most.",
    "samples": "Sample paths, of the series with the most.",
    "model": "Name and revision of the model.",
    # What went wrong.
    "problem": "Kind of error in the answer: the last part of its `type`.",
    "error_type": "Type of a 500, as in the label `type` of kronos_errors_total.",
    "stage": "How far the request got: `gate`, `body`, `preprocess`, `queue`, `inference` or `postprocess`.",
    "where": "Where the code failed: file, line and function.",
    "detail": "What the caller was told: what went wrong, and what to do.",
    "errors": "Number of mistakes in the body; the search stops at 100.",
    "first_error": "The first mistake: JSON pointer and reason, at most 200 characters.",
    "cancelled": "Why an admitted request was stopped, as in the label `cause` of kronos_cancellations_total.",
    "exception": "Stack trace of an error; if longer than 16,384 characters, the end of it.",
    # A storm of rejections.
    "left_out": "Number of requests like this that got no line of their own.",
    "clients": "Who sent them: client name to count.",
    # The life of the service.
    "settings": "All settings, secrets hidden.",
    "host": "Address that the service listens on.",
    "port": "Port that the service listens on.",
    "metrics_host": "Address of the metrics, if separate.",
    "metrics_port": "Port of the metrics, if separate.",
    "version": "Version of the service.",
    "warning": "A likely mistake in the settings.",
    "signal": "Stop signal that was received.",
    "seconds": "How long it took, or may take at most.",
    "running": "Requests not answered yet.",
    "exit_code": "Exit code of the process.",
    "outcome": "How loading the model ended, as in the label `outcome` of kronos_model_loads_total.",
    "reason": "Why something failed, for the operator.",
    "retry_seconds": "Seconds until the next attempt.",
    "names": "Names of all clients that now have a key.",
}
"""All fields of log lines, with their meanings."""

_LEVELS = {"warn": "warning", "exception": "error"}
"""Levels of the methods that are not named like one."""
_LONGEST_EXCEPTION = 16_384
_LINE_ENDS = [(end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x7f\x85\u2028\u2029"]
"""Legal in JSON, but other programs read them as the end of a line or as a control character."""
_CONTAINER = socket.gethostname()
_PROCESS = {"container": _CONTAINER, "pid": os.getpid()}


context: ContextVar[Mapping[str, str]] = ContextVar("kronos_log_context", default=MappingProxyType({}))
"""Fields on every line of the current task, and of the threads that work for it."""


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger of our own. Until ``configure`` is called it writes structlog's default format."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def configure(level: str, log_format: str) -> None:
    """Send all logs of the process to standard error; ``log_format`` is ``json`` or ``console``."""
    for_machines = log_format == "json"
    rendering: list[Processor] = (
        [structlog.processors.format_exc_info, _shorten, _render_json]
        if for_machines
        else [_escape_controls, _console_renderer(), _encode]
    )
    sink = _Sink()
    structlog.configure(
        processors=[_complete, *rendering],
        logger_factory=lambda name: _Logger(name, sink),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    foreign: list[Processor] = [
        _complete,
        # Only documented fields: a library may put anything into its own.
        structlog.stdlib.ExtraAdder(allow=FIELDS),
        _drop_none,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=foreign,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering[:-1], _to_text(rendering)],
    )
    handler = _Handler(sink)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def _console_renderer() -> Processor:
    # With rich installed, the default would print local variables, candles among them.
    return structlog.dev.ConsoleRenderer(
        # https://no-color.org
        colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )


class _Sink:
    """Standard error, a whole line at a time."""

    def __init__(self) -> None:
        self._stream = sys.stderr.buffer
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Write one line. If standard error is closed, the line is lost and the service goes on."""
        with self._lock:
            try:
                self._stream.write(line + b"\n")
                self._stream.flush()
            except (OSError, ValueError):
                return


class _Logger:
    """The logger that structlog wraps: it writes finished lines."""

    def __init__(self, name: str, sink: _Sink) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = sink.write


class _Handler(logging.Handler):
    """Writes the records of the standard library's loggers to the same sink."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a formatting error must not reach the caller."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
        else:
            self._sink.write(line)


def _to_text(rendering: list[Processor]) -> Processor:
    """The last step of ``rendering``, for the standard library's formatters, which want text."""
    render = rendering[-1]

    def to_text(logger: Any, method: str, event: EventDict) -> str:
        rendered = render(logger, method, event)
        assert isinstance(rendered, bytes)  # noqa: S101 - both renderings end in bytes
        return rendered.decode("utf-8", "backslashreplace")

    return to_text


def _complete(logger: Any, method: str, event: EventDict) -> EventDict:
    """Add the fields that every line has, in a single step because it runs for every request."""
    record = event.get("_record")
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": _LEVELS.get(method, method),
        "logger": logger.name if record is None else record.name,
        "event": event.pop("event", None),
        **context.get(),
        **event,
        **_PROCESS,
    }


def _drop_none(_logger: Any, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if value is not None}


def _shorten(_logger: Any, _method: str, event: EventDict) -> EventDict:
    if len(stack := event.get("exception", "")) > _LONGEST_EXCEPTION:
        event["exception"] = stack[-_LONGEST_EXCEPTION:]
    return event


def _render_json(_logger: Any, _method: str, event: EventDict) -> bytes:
    try:
        line = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # orjson rejects lone surrogates and integers of more than 64 bits.
        return json.dumps(event, default=str).encode()
    for character, escaped in _LINE_ENDS:
        line = line.replace(character, escaped)
    return line


def _escape_controls(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The console renderer does not escape: a caller's text could move the cursor or begin a line."""
    return {name: _printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _encode(_logger: Any, _method: str, text: Any) -> bytes:
    return str(text).encode("utf-8", "backslashreplace")
