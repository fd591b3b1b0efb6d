"""What a request must pass before any work is done for it.

In this order: a known key, the rate limit, an uncompressed JSON body that is not too large, a service that takes
requests, and a body that arrives in time. Every refusal is a ``Problem``, answered and counted by ``middleware``.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Mapping

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kronos_service.errors import Kinds, Problem
from kronos_service.exchange import API_PATHS, Exchange
from kronos_service.lifecycle import Lifecycle
from kronos_service.settings import Settings, parse_api_keys

MAX_REMEMBERED_CALLERS = 1024
"""Callers whose recent requests are remembered; past it those who were seen longest ago are forgotten."""


class Gate:
    """ASGI middleware in front of the API routes; everything else passes freely."""

    def __init__(self, app: ASGIApp, *, settings: Settings, lifecycle: Lifecycle) -> None:
        """``app`` is what is behind the gate."""
        self._app = app
        self._settings = settings
        self._lifecycle = lifecycle
        self._keys = ApiKeys(parse_api_keys(settings.api_keys)) if settings.api_keys else None
        self._rate = RateLimit(parse_many(settings.rate_limit)) if settings.rate_limit else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, read the body, pass on."""
        if scope["type"] != "http" or (exchange := Exchange.of(scope)).route not in API_PATHS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._keys is not None:
            exchange.client = self._keys.client(headers)
        if self._rate is not None:
            await self._rate.hit(f"key {exchange.client}" if self._keys else _peer(scope))
        if exchange.method != "POST":  # for the router to refuse
            await self._app(scope, receive, send)
            return
        self._check_headers(headers)
        self._lifecycle.check_accepting()
        exchange.admitted = True
        body = await self._read(receive)
        exchange.request_bytes = len(body)
        await self._app(scope, _replay(body, receive), send)

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

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()  # not a list of chunks: a body of one-byte chunks would take fifty times its size
        limit = self._settings.body_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    body += message.get("body", b"")
                    if len(body) > self._settings.max_body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            detail = f"the body was not complete after {limit:g} s: send it faster"
            # The connection has to go, or the rest of the body would be read for ever.
            raise Problem(Kinds.slow_body, detail, headers={"Connection": "close"}) from None

    def _too_large(self) -> Problem:
        detail = f"the body is over {self._settings.max_body_bytes} bytes: send fewer or shorter series per request"
        return Problem(Kinds.too_large, detail)


class ApiKeys:
    """Named clients and their keys."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """``keys``: client name to key."""
        self._keys = {name: key.encode() for name, key in keys.items()}

    def client(self, headers: Headers) -> str:
        """The name of the client that sent its key as ``Authorization: Bearer`` or ``X-API-Key``; else a Problem."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        given_bytes = given.encode()
        # Every key is compared, in constant time: how long it takes says nothing about any of them.
        names = [name for name, key in self._keys.items() if hmac.compare_digest(key, given_bytes)]
        if not names:
            raise Problem(Kinds.unauthorized, Kinds.unauthorized.example, headers={"WWW-Authenticate": "Bearer"})
        return names[0]


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


def _peer(scope: Scope) -> str:
    """Who called, by the socket: never by a header, which the caller writes.

    Of an IPv6 address the network of 64 bits, because that is what one caller usually owns.
    """
    client = scope.get("client")
    if client is None:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body in one piece, then whatever comes: the news that the client left."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
