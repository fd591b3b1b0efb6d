"""The outermost layer: every request gets an id, is counted and logged once, and no exception gets past it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence

from opentelemetry.context import Context
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos_service.api.errors import Kinds, Problem
from kronos_service.api.paths import API_PATHS, route_of
from kronos_service.http import problems
from kronos_service.http.access import client_address
from kronos_service.http.scope import attach, refusal_of
from kronos_service.keys import Network
from kronos_service.lifecycle import Lifecycle
from kronos_service.telemetry import logs
from kronos_service.telemetry.exchange import Exchange
from kronos_service.telemetry.recorder import Recorder
from kronos_service.telemetry.tracing import TRACE_HEADERS, Tracing, caller_context, trace_in

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ObservationMiddleware:
    """Pure ASGI middleware around everything else."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        recorder: Recorder,
        lifecycle: Lifecycle,
        trusted: Sequence[Network] = (),
        tracing: Tracing | None = None,
    ) -> None:
        self._app = app
        self._recorder = recorder
        self._lifecycle = lifecycle
        self._trusted = trusted
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange, caller = _begin(scope, self._trusted)
        attach(scope, exchange)
        if self._tracing is None or exchange.route not in API_PATHS:
            exchange.trace = trace_in(caller)
            await self._observe(exchange, scope, receive, send)
        else:
            with self._tracing.span(exchange, caller, scope["scheme"]):
                await self._observe(exchange, scope, receive, send)

    async def _observe(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
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
            _leave(exchange)
        except Exception as error:
            # An answer that has begun cannot be taken back.
            if exchange.code is None:
                await answer(exchange, error)(scope, receive, send)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and self._lifecycle.cancellation == "client_disconnect":
                # Servers other than ours cancel instead of sending a disconnect.
                _leave(exchange)
            elif exchange.code is None:
                # The server is stopping and gave up on this request.
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
                    # The caller's next request opens a connection, to another instance.
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            elif message["type"] == "http.response.body" and exchange.method != "HEAD":
                exchange.response_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    # The end comes separately: the server waits with it until the client has taken what is before.
                    await send({**message, "more_body": True})
                    message = {"type": "http.response.body"}
            await send(message)

        return observed

    def _finish(self, scope: Scope, exchange: Exchange) -> None:
        if (refused := refusal_of(scope)) is not None:
            # The client saw the server's answer, not the application's.
            exchange.problem, exchange.code = refused.problem, refused.code
            exchange.response_bytes, exchange.error = refused.response_bytes, None
        elif exchange.client_left:
            # Whatever the application answered, nobody got it.
            exchange.problem = exchange.problem or Problem(Kinds.client_left, Kinds.client_left.example)
            exchange.code, exchange.response_bytes = None, 0
        self._recorder.record(exchange)


def _leave(exchange: Exchange) -> None:
    """The client has left before the end of the answer."""
    exchange.client_left = True
    if exchange.admitted and exchange.stage != "postprocess":  # by then the model has done its work
        exchange.cancelled = "client_disconnect"


def answer(exchange: Exchange, error: Exception) -> Response:
    """The response to a request that failed with ``error``, which is noted in ``exchange``."""
    exchange.problem = problems.problem_of(error)
    if exchange.problem.kind.error_type is not None:
        exchange.error = error
    return problems.response(exchange.problem, exchange.request_id)


def _begin(scope: Scope, trusted: Sequence[Network]) -> tuple[Exchange, Context | None]:
    """The record of a new request, and the caller's trace."""
    request_id = None
    trace_headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if name == b"x-request-id" and request_id is None:
            request_id = value.decode("latin-1")
        elif name in TRACE_HEADERS:
            trace_headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
    if (refused := refusal_of(scope)) is not None:
        request_id = refused.request_id
    elif request_id is None or not _REQUEST_ID.fullmatch(request_id):
        # A caller's id goes into logs and exemplars: only a harmless one does.
        request_id = secrets.token_hex(16)
    root, path = scope.get("root_path", ""), scope["path"]
    if root:
        # A proxy may have removed it or not. ASGI wants it.
        path = path[len(root) :] if path.startswith(f"{root}/") else path
        scope["path"] = root + path
    exchange = Exchange(
        request_id,
        scope["method"],
        path,
        route_of(path),
        client_address(scope, trusted),
    )
    return exchange, caller_context(trace_headers)
