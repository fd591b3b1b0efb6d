"""The record of a request, kept in its ASGI scope for the layers below the middleware that made it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from kronos_service.telemetry.exchange import Exchange

Scope = MutableMapping[str, Any]

_EXCHANGE = "kronos.exchange"
_REFUSED = "kronos.refused"


def attach(scope: Scope, exchange: Exchange) -> None:
    """Keep the record of the request."""
    scope[_EXCHANGE] = exchange


def exchange_of(scope: Scope) -> Exchange:
    """The record of the request; raises KeyError before ``attach``."""
    exchange: Exchange = scope[_EXCHANGE]
    return exchange


def find_exchange(scope: Scope) -> Exchange | None:
    """The record of the request; None before ``attach``."""
    return scope.get(_EXCHANGE)


def attach_refusal(scope: Scope, refused: Exchange) -> None:
    """Keep what the server answered in the application's place, because the rest of the request was not HTTP."""
    scope[_REFUSED] = refused


def refusal_of(scope: Scope) -> Exchange | None:
    """What the server answered in the application's place; None if it did not."""
    return scope.get(_REFUSED)
