"""The outermost layer: gives every request its id, counts it exactly once, logs it, and lets no exception out."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos_service.errors import Kinds, Problem, to_problem
from kronos_service.exchange import API_PATHS, UNCOUNTED_PATHS, UNMATCHED, Exchange

if TYPE_CHECKING:
    from kronos_service.lifecycle import Lifecycle
    from kronos_service.metrics import Metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOGGED_PATH_LENGTH = 128
_LOGGED_METHOD_LENGTH = 16

_log = structlog.stdlib.get_logger("kronos.request")


class Observation:
    """Pure ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, lifecycle: Lifecycle) -> None:
        """``app`` is everything else."""
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(_request_id(scope), scope["method"], _route(scope["path"]))
        exchange.store(scope)
        in_flight = (
            self._metrics.concurrent.labels(exchange.route).track_inprogress()
            if exchange.route in API_PATHS
            else nullcontext()
        )
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id), in_flight:
            try:
                await self._handle(scope, receive, self._observed(exchange, send))
            finally:
                self._finish(scope, exchange)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            exchange.problem = Problem(Kinds.client_left, Kinds.client_left.example)
            self._metrics.cancellations.labels("client_disconnect").inc()
        except Exception as error:
            # An answer that has begun cannot be taken back.
            if exchange.code is None:
                await answer(exchange, error)(scope, receive, send)
        except BaseException:
            # The server stops and waits no longer.
            if exchange.code is None:
                exchange.problem = Problem(Kinds.stopped, Kinds.stopped.example)
            raise

    def _observed(self, exchange: Exchange, send: Send) -> Send:
        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.code = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = exchange.request_id
                if self._lifecycle.draining:
                    # So that the caller's next request opens a connection, to another instance.
                    headers["Connection"] = "close"
            elif message["type"] == "http.response.body":
                exchange.response_bytes += len(message.get("body", b""))
            await send(message)

        return observed

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        if exchange.route is not None:
            self._metrics.count(exchange)
        elif exchange.error is None:
            # A probe or a scrape is worth a line only when it fails.
            return
        fields = exchange.fields
        if exchange.route == UNMATCHED:
            # Escaped, because it is the caller's text and the console format quotes nothing.
            fields["path"] = scope["path"][:_LOGGED_PATH_LENGTH].encode("unicode_escape").decode("ascii")
        if exchange.problem is not None:
            fields["problem"] = exchange.problem.kind.slug
            if exchange.problem.kind.error_type is not None:
                fields["error_type"] = exchange.problem.kind.error_type
        if exchange.error is not None:
            fields["exc_info"] = exchange.error
        log = _log.error if exchange.outcome == "error" else _log.info
        log(
            "request",
            method=exchange.method[:_LOGGED_METHOD_LENGTH],
            route=exchange.route,
            status=exchange.outcome,
            code=exchange.code,
            client=exchange.client,
            request_bytes=exchange.request_bytes,
            response_bytes=exchange.response_bytes,
            duration_ms=round(exchange.elapsed_seconds * 1000, 3),
            **fields,
        )


def answer(exchange: Exchange, error: Exception) -> Response:
    """The answer to a request that failed with ``error``; notes it in ``exchange``."""
    exchange.problem = to_problem(error)
    if exchange.problem.kind.error_type is not None:
        exchange.error = error
    return exchange.problem.response(exchange.request_id)


def _request_id(scope: Scope) -> str:
    """The caller's X-Request-ID if it is harmless, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def _route(path: str) -> str | None:
    if path in API_PATHS:
        return path
    return None if path in UNCOUNTED_PATHS else UNMATCHED
