"""Checks before any work is done for a request.

In this order: API key or network, rate limit, content type and size of the body, whether the service accepts
requests, and whether the body arrives in time. The middleware answers and counts each refusal.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos_service.api.errors import SHORTEST_RETRY_SECONDS, Kinds, Problem
from kronos_service.api.paths import API_PATHS
from kronos_service.http.access import Access, caller_of
from kronos_service.http.scope import exchange_of
from kronos_service.lifecycle import Lifecycle
from kronos_service.settings import Settings
from kronos_service.telemetry.exchange import ANONYMOUS, Exchange

MAX_REMEMBERED_CALLERS = 1024
"""Callers whose recent requests are remembered; beyond that, the least recently seen are forgotten."""


class GateMiddleware:
    """ASGI middleware in front of the API routes; all other requests pass unchecked."""

    def __init__(self, app: ASGIApp, *, settings: Settings, lifecycle: Lifecycle, access: Access) -> None:
        self._app = app
        self._settings = settings
        self._lifecycle = lifecycle
        self._access = access
        self._rate = RateLimit(parse_many(settings.rate_limit)) if settings.rate_limit else None
        self._bytes_in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, read its body, and pass both on."""
        if scope["type"] != "http" or (exchange := exchange_of(scope)).route not in API_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        await self._identify(exchange, headers)
        if exchange.method != "POST":  # the router answers 405
            await self._app(scope, receive, send)
            return
        self._check_headers(headers)
        self._lifecycle.check_accepting(exchange.caller)
        exchange.admitted = True
        exchange.stage = "body"
        body = bytearray()  # as a list, chunks of one byte would take fifty times as much memory
        try:
            await self._read(receive, body)
            exchange.request_bytes = len(body)
            await self._app(scope, _replay(bytes(body), receive), send)
        finally:
            self._bytes_in_flight -= len(body)

    async def _identify(self, exchange: Exchange, headers: Headers) -> None:
        exchange.caller = caller_of(exchange.client_address)
        try:
            exchange.client = self._access.client(headers, exchange.client_address)
        except Problem:
            # The rate limit also limits how fast keys can be guessed.
            if self._rate is not None:
                await self._rate.hit(exchange.caller)
            raise
        if exchange.client != ANONYMOUS:
            exchange.caller = f"key {exchange.client}"
        if self._rate is not None:
            await self._rate.hit(exchange.caller)

    def _check_headers(self, headers: Headers) -> None:
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise Problem(Kinds.encoding, Kinds.encoding.example, headers={"Accept-Encoding": "identity"})
        media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
        if media_type.strip() != "application/json" or charset not in {"", "utf-8", "utf8"}:
            raise Problem(Kinds.media_type, "send 'Content-Type: application/json', and the body in UTF-8")
        # The server has checked that it is a number. A body without a length is measured as it arrives.
        if int(headers.get("content-length", 0)) > self._settings.max_body_bytes:
            raise self._too_large()

    async def _read(self, receive: Receive, body: bytearray) -> None:
        """Read the whole body into ``body``, and count its bytes as in flight."""
        limit = self._settings.body_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunk = message.get("body", b"")
                    if len(body) + len(chunk) > self._settings.max_body_bytes:
                        raise self._too_large()
                    if self._bytes_in_flight + len(chunk) > self._settings.max_bytes_in_flight:
                        raise self._too_much_at_once()
                    # Only what has arrived: an announced length alone must not take up room.
                    self._bytes_in_flight += len(chunk)
                    body += chunk
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            detail = f"the body was not complete after {limit:g} s: send it faster"
            # Otherwise the server would go on reading the rest of the body.
            raise Problem(Kinds.slow_body, detail, headers={"Connection": "close"}) from None

    def _too_large(self) -> Problem:
        detail = f"the body is over {self._settings.max_body_bytes} bytes: send fewer or shorter series per request"
        return Problem(Kinds.too_large, detail)

    def _too_much_at_once(self) -> Problem:
        seconds = SHORTEST_RETRY_SECONDS
        detail = (
            f"the bodies of all requests together are over {self._settings.max_bytes_in_flight} bytes: try again in "
            f"{seconds} s"
        )
        headers = {"Connection": "close"}
        return Problem(Kinds.overloaded, detail, retry_after_seconds=seconds, headers=headers)


class RateLimit:
    """A moving window per caller, in bounded memory. A request must be within each of ``limits``."""

    def __init__(self, limits: list[RateLimitItem]) -> None:
        self._limits = limits
        self._storage = MemoryStorage()
        self._windows = MovingWindowRateLimiter(self._storage)
        self._callers: OrderedDict[str, None] = OrderedDict()

    async def hit(self, caller: str) -> None:
        """Count a request of ``caller``; raises the Problem that says how long to wait."""
        await self._remember(caller)
        for item in self._limits:
            if not await self._windows.test(item, caller):
                raise await self._problem(item, caller)
        for item in self._limits:
            if not await self._windows.hit(item, caller):
                raise await self._problem(item, caller)

    async def _problem(self, item: RateLimitItem, caller: str) -> Problem:
        stats = await self._windows.get_window_stats(item, caller)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        return Problem(Kinds.rate_limited, f"over {item}: wait {seconds} s", retry_after_seconds=seconds)

    async def _remember(self, caller: str) -> None:
        self._callers[caller] = None
        self._callers.move_to_end(caller)
        if len(self._callers) > MAX_REMEMBERED_CALLERS:
            forgotten, _ = self._callers.popitem(last=False)
            for item in self._limits:
                await self._windows.clear(item, forgotten)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the body in one piece, and then what comes next: the disconnect."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
