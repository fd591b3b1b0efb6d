"""The server: one route for each endpoint, in a thread of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kronos_mixin.connect import Connection
from proof.servers.asgi import serving
from proof.servers.grafana import newer, older, sources, writes
from proof.servers.grafana.store import Endpoint, Refusal, Store


class Grafana(Store):
    """A Grafana on a loopback port, as a context manager.

    `apis` are the versions of `dashboard.grafana.app` that it serves (Grafana 12 and newer), `api` is whether it
    has dashboards in `/api`, too, as all versions have until now.
    """

    def __init__(
        self, *, version: str = "12.1.0", apis: tuple[str, ...] = ("v0alpha1", "v1beta1"), api: bool = True
    ) -> None:
        super().__init__(version, apis, api=api)
        self.url = ""

    def connection(self, token: str | None = None) -> Connection:
        """A connection with a token (None: that of an Admin)."""
        return Connection(self.url, authorization={"credentials": token or self.token})

    def __enter__(self) -> Self:
        routes = [Route("/api/health", self._health)]
        routes += [
            Route(one.path, self._served(one), methods=[one.method])
            for one in (*older.ENDPOINTS, *sources.ENDPOINTS, *newer.ENDPOINTS, *writes.ENDPOINTS)
        ]
        self._running = contextlib.ExitStack()
        self.url = self._running.enter_context(serving("the stand-in for Grafana", routes))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()
        self.upstream.close()

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"commit": "", "database": "ok", "version": self.version})

    def _served(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def served(request: Request) -> Response:
            body = await request.body()
            try:
                self.allow(request, endpoint.action)
                found = await run_in_threadpool(endpoint.answer, self, request, body)
            except Refusal as refusal:
                return JSONResponse(refusal.body, refusal.code)
            return found if isinstance(found, Response) else JSONResponse(found)

        return served
