"""Logs: one JSON object per line, for our own events and those of libraries.

No line contains candles, bodies, or header values that were not checked.

Our own loggers (``get_logger``) take the shortest path, because every request logs a line. Those of libraries and of
the forecaster go through the standard library, and end up in the same place.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from kronos_service.telemetry.fields import FIELDS
from kronos_service.telemetry.outlet import Outlet

_LEVELS = {"warn": "warning", "exception": "error"}
"""Levels of the methods that are not named like one."""
_LONGEST_EXCEPTION = 16_384
_LINE_ENDS = [(end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x7f\x85\u2028\u2029"]
"""Legal in JSON, but other programs read them as the end of a line or as a control character."""
_CONTAINER = socket.gethostname()
_STANDARD_ERROR = 2
_LINE_END = re.compile(r"\r\n|\r|\n")
_PROCESS = {"container": _CONTAINER, "pid": os.getpid()}


_outlet: Outlet | None = None

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
    write = _open()
    structlog.configure(
        processors=[_complete, *rendering],
        logger_factory=lambda name: _Logger(name, write),
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
    handler = _Handler(write)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)


def _open() -> Callable[[bytes], None]:
    global _outlet  # noqa: PLW0603 - a process has one log
    log = get_logger("kronos.log")
    outlet = _outlet = Outlet(_STANDARD_ERROR, lambda lost: log.warning("log lines lost", lost=lost))
    return lambda line: outlet.write(line + b"\n")


def take_streams() -> None:
    """Log what is printed, and errors that nobody catches: a print waits for its reader."""
    sys.stdout, sys.stderr = _Stream("stdout", 1), _Stream("stderr", _STANDARD_ERROR)
    log = get_logger("kronos.log")
    threading.excepthook = lambda error: log.error("unhandled exception", exc_info=error.exc_value)
    sys.unraisablehook = lambda error: log.error("unhandled exception", exc_info=error.exc_value)


def count_losses(count: Callable[[int], object]) -> None:
    """Call ``count`` with the number of lines lost so far, and from now on with that of each loss."""
    if _outlet is not None:
        _outlet.count_losses(count)


def flush(seconds: float) -> None:
    """Wait until all lines are written, but no longer than ``seconds``."""
    if _outlet is not None:
        _outlet.flush(seconds)


def _console_renderer() -> Processor:
    # With rich installed, the default would print local variables, candles among them.
    return structlog.dev.ConsoleRenderer(
        # https://no-color.org
        colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )


class _Logger:
    """The logger that structlog wraps: it writes finished lines."""

    def __init__(self, name: str, write: Callable[[bytes], None]) -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = write


class _Handler(logging.Handler):
    """Writes the records of the standard library's loggers to the same place."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; a formatting error must not reach the caller."""
        try:
            line = self.format(record).encode("utf-8", "backslashreplace")
        except Exception:
            self.handleError(record)
        else:
            self._write(line)


class _Stream(io.TextIOBase):
    """Standard output or error for those who print: each line becomes an event."""

    def __init__(self, name: str, descriptor: int) -> None:
        self._log = get_logger(name)
        self._descriptor = descriptor
        self._unfinished = threading.local()

    def write(self, text: str) -> int:
        """Log the lines that are complete. Threads do not mix theirs."""
        *lines, rest = _LINE_END.split(getattr(self._unfinished, "text", "") + text)
        self._unfinished.text = rest[-_LONGEST_EXCEPTION:]
        for line in filter(str.strip, lines):
            self._log.warning(line)
        return len(text)

    def fileno(self) -> int:
        """The number that C code would write to."""
        return self._descriptor


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
