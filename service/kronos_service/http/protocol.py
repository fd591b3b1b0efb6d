"""The HTTP protocol of the server: HTTP/1.1, whatever else a client offers, and an end to what never ends.

Broken or endless HTTP is answered in the one error format, counted and logged like everything else. An offer to
upgrade, to HTTP/2 or to a websocket, is passed over: the request that it came with is answered.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from kronos_service.api.errors import MEDIA_TYPE, Kind, Kinds, Problem
from kronos_service.api.paths import UNMATCHED
from kronos_service.http import problems
from kronos_service.http.access import client_address
from kronos_service.http.half_close import Probe
from kronos_service.http.scope import attach_refusal, find_exchange
from kronos_service.telemetry.exchange import Exchange

MAX_HEAD_BYTES = 65_536
"""Largest request line with its headers."""

STALLED_SECONDS = 60.0
STALLED_BYTES = 65_536
"""A client has to take this much of a waiting answer in ``STALLED_SECONDS``: about 1 kB/s."""


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with limits of its own, and problems for what it refuses; see ``problem_protocol``."""

    head_seconds: float
    stalled_seconds: float
    report: Callable[[Exchange], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes: int | None = 0
        """Bytes of the current head so far; None between the end of a head and the next request."""
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        """The request that the application works on; ``cycle`` is the last one that arrived."""
        self._half_closed = False
        self._probe: Probe | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, and note that nobody waits for an answer any more."""
        _cancel(self._head_timer, self._stall_timer)
        if self._probe is not None:
            self._probe.stop()
        # Not the newest one of a pipeline, which is all that uvicorn looks at.
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
            if (exchange := find_exchange(_scope(answering))) is not None:
                exchange.client_left = True
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection for a client that has sent all it wants to, and waits for its answers."""
        if self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return False
        self._half_closed = True
        self.cycle.keep_alive = False
        self._probe_if_half_closed()
        return True

    def data_received(self, data: bytes) -> None:
        """Parse as uvicorn does, and refuse a head that is too large."""
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._refuse(Kinds.not_http, "this is not an HTTP/1.1 request: send one")
        # A chunk can end one head and begin the next: only an unfinished head counts.
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES:
            detail = f"they are over {MAX_HEAD_BYTES} bytes: send fewer or shorter ones"
            self._refuse(Kinds.head_too_large, detail)

    def on_message_begin(self) -> None:
        """Start the timer of the next head."""
        super().on_message_begin()
        if self._head_bytes is None:
            self._head_bytes = 0
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Stop the timer: the body has a time limit of its own."""
        if self.parser.should_upgrade():
            return
        self._head_bytes = None
        _cancel(self._head_timer)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Nothing is complete yet if the parser stops at an upgrade: see ``_parse``."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        self._probe_if_half_closed()
        super()._start_asgi_task(cycle, app)

    def _probe_if_half_closed(self) -> None:
        answering = self._answering
        if self._half_closed and answering is not None and not answering.response_started:
            self._probe = Probe(self.transport, self.loop)
            answering.transport = self._probe  # type: ignore[assignment]

    def _parse(self, data: bytes) -> None:
        """Feed the parser, which takes a request that offers an upgrade for the end of HTTP on this connection."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("a request to a proxy") from None
                data = self._head_without_offer() + data[upgrade.args[0] :]
            else:
                return

    def _head_without_offer(self) -> bytes:
        """The head that was just parsed, without the offer and for a new parser."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        first = b"%s %s HTTP/%s" % (method, self.url, version.encode())
        headers = (name + b": " + value for name, value in self.headers if name != b"upgrade")
        return b"\r\n".join((first, *headers, b"", b""))

    def pause_writing(self) -> None:
        """Watch a client that is slow to take its answer."""
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        """Stop watching: nearly everything is sent."""
        _cancel(self._stall_timer)
        super().resume_writing()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _expect_taking(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(self.stalled_seconds, self._check_taken, waiting)

    def _check_taken(self, waited: int) -> None:
        # A large answer is a single write, so that nothing else shows whether the client is reading.
        if waited - self.transport.get_write_buffer_size() >= STALLED_BYTES:
            self._expect_taking()
        else:
            self.transport.abort()

    def _head_is_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # The previous request is still being answered.
            self._expect_head()
            return
        if not self._head_bytes:
            # An unused connection.
            self.transport.close()
            return
        detail = f"its headers were not complete after {self.head_seconds:g} s: send them faster"
        self._refuse(Kinds.slow_head, detail)

    def _refuse(self, kind: Kind, detail: str) -> None:
        """Answer, count, and close the connection."""
        if self.transport.is_closing():
            return
        problem = Problem(kind, detail)
        refused = Exchange(secrets.token_hex(16), "", "", UNMATCHED, client_address({"client": self.client}))
        refused.problem, refused.code = problem, problem.status
        if self.cycle is None or self.cycle.response_complete:
            self._write(refused)
            self.report(refused)
        else:
            # If the answer to the current request has not begun, this is sent instead, and the application counts
            # the request when it ends.
            scope = _scope(self.cycle)
            exchange = find_exchange(scope)
            if exchange is not None:
                refused.request_id = exchange.request_id
            if exchange is None or exchange.code is None:
                attach_refusal(scope, refused)
                self._write(refused)
        self.transport.close()

    def _write(self, refused: Exchange) -> None:
        assert refused.problem is not None  # noqa: S101 - that is why it was refused
        response = problems.response(refused.problem, refused.request_id)
        refused.response_bytes = len(response.body)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(response.body)).encode()),
            (b"x-request-id", refused.request_id.encode()),
            (b"connection", b"close"),
        ]
        status = HTTPStatus(response.status_code)
        first = f"HTTP/1.1 {status.value} {status.phrase}".encode()
        lines = [first, *(name + b": " + value for name, value in headers), b"", b""]
        self.transport.write(b"\r\n".join(lines) + bytes(response.body))


def problem_protocol(
    head_seconds: float, report: Callable[[Exchange], None], stalled_seconds: float = STALLED_SECONDS
) -> type[ProblemProtocol]:
    """A protocol class for uvicorn.

    ``head_seconds`` is the time limit for a request line with its headers. ``report`` is called with each request
    that was refused before it reached the application. A client that takes less than STALLED_BYTES of its answer in
    ``stalled_seconds`` is disconnected.
    """
    settings = {"head_seconds": head_seconds, "report": staticmethod(report), "stalled_seconds": stalled_seconds}
    return type("ConfiguredProblemProtocol", (ProblemProtocol,), settings)


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()


def _scope(cycle: RequestResponseCycle) -> dict[str, Any]:
    scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
    return scope
