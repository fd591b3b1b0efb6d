"""What a request must pass before any work is done for it.

In this order: a known key or network, the rate limit, an uncompressed JSON body that is not too large, a service that
takes requests, and a body that arrives in time. Every refusal is a ``Problem``, answered and counted by
``middleware``.
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
"""Callers whose recent requests are remembered; past it those who were seen longest ago are forgotten."""


class GateMiddleware:
    """ASGI middleware in front of the API routes; everything else passes freely."""

    def __init__(self, app: ASGIApp, *, settings: Settings, lifecycle: Lifecycle, access: Access) -> None:
        """``app`` is what is behind the gate."""
        self._app = app
        self._settings = settings
        self._lifecycle = lifecycle
        self._access = access
        self._rate = RateLimit(parse_many(settings.rate_limit)) if settings.rate_limit else None
        self._bytes_in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, read the body, pass on."""
        if scope["type"] != "http" or (exchange := exchange_of(scope)).route not in API_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        await self._let_in(exchange, headers)
        if exchange.method != "POST":  # for the router to refuse
            await self._app(scope, receive, send)
            return
        self._check_headers(headers)
        self._lifecycle.check_accepting(exchange.caller)
        exchange.admitted = True
        exchange.stage = "body"
        body = bytearray()  # not a list of chunks: a body of one-byte chunks would take fifty times its size
        try:
            await self._read(receive, body)
            exchange.request_bytes = len(body)
            await self._app(scope, _replay(bytes(body), receive), send)
        finally:
            self._bytes_in_flight -= len(body)

    async def _let_in(self, exchange: Exchange, headers: Headers) -> None:
        exchange.caller = caller_of(exchange.client_address)
        try:
            exchange.client = self._access.client(headers, exchange.client_address)
        except Problem:
            # Keys are not to be guessed faster than requests may be sent.
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
        # The server has checked that it is a number; a body without one is counted as it comes.
        if int(headers.get("content-length", 0)) > self._settings.max_body_bytes:
            raise self._too_large()

    async def _read(self, receive: Receive, body: bytearray) -> None:
        """Read all into ``body``, and count it as in flight."""
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
                    # What has arrived, not what was announced: nobody shall block others by a promise.
                    self._bytes_in_flight += len(chunk)
                    body += chunk
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            detail = f"the body was not complete after {limit:g} s: send it faster"
            # The connection has to go, or the rest of the body would be read for ever.
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
    """A moving window per caller, in memory of bounded size."""

    def __init__(self, items: list[RateLimitItem]) -> None:
        """A request must be within every one of ``items``."""
        self._items = items
        self._storage = MemoryStorage()
        self._windows = MovingWindowRateLimiter(self._storage)
        self._callers: OrderedDict[str, None] = OrderedDict()

    async def hit(self, caller: str) -> None:
        """Count a request of ``caller``; raises the 429 with the time until there is room again."""
        await self._remember(caller)
        for item in self._items:
            if not await self._windows.test(item, caller):
                raise await self._problem(item, caller)
        for item in self._items:
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
            for item in self._items:
                await self._windows.clear(item, forgotten)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body in one piece, then whatever comes: the news that the client left."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
