"""The outermost layer: gives every request its id, counts it exactly once, logs it, and lets no exception out."""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos_service.api.errors import Kinds, Problem
from kronos_service.http import problems
from kronos_service.http.access import client_address
from kronos_service.telemetry import logs
from kronos_service.telemetry.exchange import API_PATHS, BROKEN, UNMATCHED, Exchange, route_of
from kronos_service.telemetry.storms import Rejection, Storms
from kronos_service.telemetry.tracing import parse_traceparent

if TYPE_CHECKING:
    from kronos_service.lifecycle import Lifecycle
    from kronos_service.telemetry.metrics import Metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOGGED_PATH_LENGTH = 128
_LOGGED_METHOD_LENGTH = 16
_LOGGED_REASON_LENGTH = 200
_NEVER_LEFT_OUT = frozenset({"success", "error", "timeout"})

_log = logs.get_logger("kronos.request")


class Recorder:
    """Turns an exchange that has ended into its metrics and its log line."""

    def __init__(self, metrics: Metrics, rejections_logged: int) -> None:
        """``rejections_logged``: most lines for requests that were turned away for one reason, in 10 s."""
        self.metrics = metrics
        self.storms = Storms(rejections_logged)

    def record(self, exchange: Exchange) -> None:
        """Count it and log it, once."""
        if exchange.route is not None:
            self.metrics.count(exchange)
        elif exchange.outcome not in {"error", "unauthorized"}:
            # A probe or a scrape is worth a line only when it fails: not being ready is what a probe is there to say.
            return
        problem = exchange.problem
        if problem is not None and self._is_rejection(exchange):
            kind = Rejection(exchange.route or exchange.path, exchange.outcome, exchange.code, problem.kind.slug)
            if not self.storms.may_log(kind, exchange.client):
                return
        level = logging.ERROR if exchange.outcome == "error" else logging.INFO
        if _log.is_enabled_for(level):
            _log.log(level, "request", **_fields(exchange))

    def _is_rejection(self, exchange: Exchange) -> bool:
        """Whether no work was done for it, so that there can be thousands of its kind in a second."""
        return exchange.outcome not in _NEVER_LEFT_OUT and exchange.stage in {"gate", "body", "preprocess"}


class Observation:
    """Pure ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, *, recorder: Recorder, lifecycle: Lifecycle) -> None:
        """``app`` is everything else."""
        self._app = app
        self._recorder = recorder
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _begin(scope)
        exchange.store(scope)
        context = {"request_id": exchange.request_id}
        if exchange.trace is not None:
            context |= exchange.trace._asdict()
        before = logs.context.set(context)
        running = exchange.route if exchange.route in API_PATHS else None
        if running is not None:
            self._lifecycle.begin(running)
        try:
            await self._handle(exchange, scope, receive, self._observed(exchange, send))
        finally:
            self._finish(scope, exchange)
            if running is not None:
                self._lifecycle.end(running)
            logs.context.reset(before)

    async def _handle(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            exchange.problem = Problem(Kinds.client_left, Kinds.client_left.example)
            exchange.cancelled = "client_disconnect"
        except Exception as error:
            # An answer that has begun cannot be taken back.
            if exchange.code is None:
                await answer(exchange, error)(scope, receive, send)
        except BaseException:
            # The server stops and waits no longer.
            if exchange.code is None:
                exchange.problem = Problem(Kinds.stopped, Kinds.stopped.example)
                if exchange.admitted:
                    exchange.cancelled = "shutdown"
            raise

    def _observed(self, exchange: Exchange, send: Send) -> Send:
        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.code = message["status"]
                headers = [*message["headers"], (b"x-request-id", exchange.request_id.encode())]
                if self._lifecycle.draining and (b"connection", b"close") not in headers:
                    # So that the caller's next request opens a connection, to another instance.
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            elif message["type"] == "http.response.body":
                exchange.response_bytes += len(message.get("body", b""))
            await send(message)

        return observed

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        broken = scope.get(BROKEN)
        if isinstance(broken, Exchange):
            # What the client saw is what the server answered.
            exchange.problem, exchange.code = broken.problem, broken.code
            exchange.response_bytes, exchange.error = broken.response_bytes, None
        self._recorder.record(exchange)


def answer(exchange: Exchange, error: Exception) -> Response:
    """The answer to a request that failed with ``error``; notes it in ``exchange``."""
    exchange.problem = problems.problem_of(error)
    if exchange.problem.kind.error_type is not None:
        exchange.error = error
    return problems.response(exchange.problem, exchange.request_id)


def _begin(scope: Scope) -> Exchange:
    request_id, traceparents = None, []
    for name, value in scope["headers"]:
        if name == b"x-request-id" and request_id is None:
            request_id = value.decode("latin-1")
        elif name == b"traceparent":
            traceparents.append(value.decode("latin-1"))
    broken = scope.get(BROKEN)
    if isinstance(broken, Exchange):
        request_id = broken.request_id
    elif request_id is None or not _REQUEST_ID.fullmatch(request_id):
        # The caller's only if it is harmless.
        request_id = secrets.token_hex(16)
    return Exchange(
        request_id,
        scope["method"],
        scope["path"],
        route_of(scope["path"]),
        client_address(scope),
        parse_traceparent(traceparents),
    )


def _fields(exchange: Exchange) -> dict[str, Any]:
    """What the log line says; nothing of it is a header or a value that was not checked."""
    fields = {
        # Said here too, for requests that never came as far as the context of one.
        "request_id": exchange.request_id,
        "client_address": exchange.client_address,
        "client": exchange.client,
        "method": exchange.method[:_LOGGED_METHOD_LENGTH] or None,
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
        fields["path"] = _escape(exchange.path[:_LOGGED_PATH_LENGTH])
    if exchange.problem is not None:
        fields |= _problem_fields(exchange, exchange.problem)
    # A field that does not apply is absent.
    return {name: value for name, value in fields.items() if value is not None}


def _problem_fields(exchange: Exchange, problem: Problem) -> dict[str, Any]:
    fields: dict[str, Any] = {"problem": problem.kind.slug, "stage": exchange.stage, "detail": problem.detail}
    if problem.errors:
        first = f"{problem.errors[0].pointer} {problem.errors[0].reason}".strip()
        fields |= {"errors": len(problem.errors), "first_error": _escape(first[:_LOGGED_REASON_LENGTH])}
    if exchange.error is not None:
        fields["error_type"] = problem.kind.error_type
        fields["where"] = _where(exchange.error)
        fields["exc_info"] = exchange.error
    return fields


def _escape(text: str) -> str:
    """A caller's text in ASCII: names of unknown fields and of paths can hold anything."""
    return text.encode("unicode_escape").decode("ascii")


def _where(error: BaseException) -> str | None:
    """File, line and function in which the first cause was raised."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = extract_tb(error.__traceback__)
    if not frames:
        return None
    last = frames[-1]
    return f"{'/'.join(Path(last.filename).parts[-3:])}:{last.lineno} in {last.name}"
