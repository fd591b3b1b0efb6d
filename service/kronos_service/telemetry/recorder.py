"""From the record of a request that has ended to its metrics and its log line."""

from __future__ import annotations

import logging
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from kronos_service.api.paths import UNMATCHED
from kronos_service.telemetry import logs
from kronos_service.telemetry.log_sampling import LogSampler, Rejection

if TYPE_CHECKING:
    from kronos_service.api.errors import Problem
    from kronos_service.telemetry.exchange import Exchange
    from kronos_service.telemetry.metrics import Metrics

_MAX_PATH = 128
_MAX_METHOD = 16
_MAX_REASON = 200
_ALWAYS_LOGGED = frozenset({"success", "error", "timeout"})

_log = logs.get_logger("kronos.request")


class Recorder:
    """Counts and logs each request once, when it has ended.

    ``rejections_logged`` is the most log lines in 10 s for requests that were turned away for one reason.
    """

    def __init__(self, metrics: Metrics, rejections_logged: int) -> None:
        self._metrics = metrics
        self._sampler = LogSampler(rejections_logged)

    def record(self, exchange: Exchange) -> None:
        """Count the request, and log it unless it is a probe that was answered or one rejection of very many."""
        if exchange.route is not None:
            self._metrics.count(exchange)
        elif exchange.outcome not in {"error", "unauthorized"}:
            # Probes and scrapes would drown everything else. A 503 is a probe's way to say "not ready".
            return
        problem = exchange.problem
        if problem is not None and _was_rejected(exchange):
            rejection = Rejection(exchange.route or exchange.path, exchange.outcome, exchange.code, problem.kind.slug)
            if not self._sampler.may_log(rejection, exchange.client):
                return
        level = logging.ERROR if exchange.outcome == "error" else logging.INFO
        if _log.is_enabled_for(level):
            _log.log(level, "request", **_fields(exchange))

    def close(self) -> None:
        """Log now how many lines were left out."""
        self._sampler.close()


def _was_rejected(exchange: Exchange) -> bool:
    """Whether it ended before the model had any work with it: of such requests there can be thousands in a second."""
    return exchange.outcome not in _ALWAYS_LOGGED and exchange.stage in {"gate", "body", "preprocess"}


def _fields(exchange: Exchange) -> dict[str, Any]:
    """The fields of the log line. No header or body value is among them unless it was checked."""
    fields = {
        # The log context has it too, but not for what the server refused by itself.
        "request_id": exchange.request_id,
        "client_address": exchange.client_address,
        "client": exchange.client,
        "method": exchange.method[:_MAX_METHOD] or None,
        "route": exchange.route or exchange.path,
        "status": exchange.outcome,
        "code": exchange.code,
        "request_bytes": exchange.request_bytes,
        "response_bytes": exchange.response_bytes,
        "duration_ms": round(exchange.elapsed_seconds * 1000, 3),
        "cancelled": exchange.cancelled,
        **exchange.milliseconds,
        **exchange.fields,
    }
    if exchange.route == UNMATCHED:
        fields["path"] = _escape(exchange.path[:_MAX_PATH])
    if exchange.problem is not None:
        fields |= _problem_fields(exchange, exchange.problem)
    return {name: value for name, value in fields.items() if value is not None}


def _problem_fields(exchange: Exchange, problem: Problem) -> dict[str, Any]:
    fields: dict[str, Any] = {"problem": problem.kind.slug, "stage": exchange.stage, "detail": problem.detail}
    if problem.errors:
        first = f"{problem.errors[0].pointer} {problem.errors[0].reason}".strip()
        fields |= {"errors": len(problem.errors), "first_error": _escape(first[:_MAX_REASON])}
    if exchange.error is not None:
        fields["error_type"] = problem.kind.error_type
        fields["where"] = _where(exchange.error)
        fields["exc_info"] = exchange.error
    return fields


def _escape(text: str) -> str:
    """A caller's text in ASCII: paths and the names of unknown fields can hold anything."""
    return text.encode("unicode_escape").decode("ascii")


def _where(error: BaseException) -> str | None:
    """File, line and function that raised the first cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = extract_tb(error.__traceback__)
    if not frames:
        return None
    last = frames[-1]
    return f"{'/'.join(Path(last.filename).parts[-3:])}:{last.lineno} in {last.name}"
