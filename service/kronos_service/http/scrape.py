"""The metrics endpoint, on the address of the API or on one of its own."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kronos_service.api.errors import Kinds, Problem
from kronos_service.api.paths import METRICS_PATH
from kronos_service.http.access import bearer_token, same_secret
from kronos_service.settings import Settings
from kronos_service.telemetry.metrics import Metrics


class Scrape:
    """Renders the metrics, for whoever sends the token if there is one.

    Compressed if that is accepted. ``name[]`` in the query, once or more, asks for the series of these names only.
    """

    def __init__(self, metrics: Metrics, settings: Settings) -> None:
        self._metrics = metrics
        self._token = None if settings.metrics_token is None else settings.metrics_token.get_secret_value()

    async def answer(self, request: Request) -> Response:
        """The metrics, in the format that the Accept header asks for; raises a Problem if the token is wrong."""
        if self._token is not None and not same_secret(self._token, bearer_token(request.headers)):
            detail = "send the token of the scrape as 'Authorization: Bearer <token>'"
            raise Problem(Kinds.unauthorized, detail, headers={"WWW-Authenticate": "Bearer"})
        headers = request.headers
        compress = _takes_gzip(",".join(headers.getlist("accept-encoding")))
        names = request.query_params.getlist("name[]")
        body, content_type = await self._metrics.render(headers.get("accept"), names, compress=compress)
        answer = Response(body, headers={"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"})
        if compress:
            answer.headers["Content-Encoding"] = "gzip"
        return answer


class ScrapeAddress:
    """ASGI application for an address that serves the metrics and nothing else."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["path"] != METRICS_PATH:
            raise Problem(Kinds.not_found, f"this port serves {METRICS_PATH} only")
        if scope["method"] not in {"GET", "HEAD"}:
            raise Problem(Kinds.method, "this path takes GET", headers={"Allow": "GET"})
        answer = await self._scrape.answer(Request(scope, receive))
        await answer(scope, receive, send)


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip: a weight of 0 forbids it."""
    allowed = {}
    for entry in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in entry.split(";"))
        allowed[coding] = not any(re.fullmatch(r"q=0(\.0*)?", part) for part in parameters)
    return allowed.get("gzip", allowed.get("*", False))
