"""The applications that `cost` compares, each with the same handler: `python -m benchmarks.apps <name>`.

The process prints the port it listens on as its first line of output. Logs go to standard error.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.middleware import Middleware

from kronos_service.api.paths import SINGLE_PATH
from kronos_service.app import create_app
from kronos_service.http.middleware import ObservationMiddleware
from kronos_service.settings import Settings
from kronos_service.telemetry import logs

VARIANTS = ("bare", "instrumentator", "observed", "observed, logs", "whole service, logs")
"""In the order of the table; the others are compared with the first."""

FORECASTS = "forecasts"
"""The whole service with its model. Traces depend on the OTEL_ variables."""


async def handler() -> dict[str, str]:
    """Do nothing, so that only the framework and the middleware cost time."""
    return {"status": "ok"}


def _bare() -> FastAPI:
    app = FastAPI()
    app.add_api_route(SINGLE_PATH, handler, methods=["POST"])
    return app


def _instrumentator() -> FastAPI:
    app = _bare()
    Instrumentator(registry=CollectorRegistry()).instrument(app).expose(app, endpoint="/v1/metrics")
    return app


def _kronos(*, whole: bool, level: str) -> FastAPI:
    """The real application, but with the handler; unless `whole`, only with the observing middleware."""
    logs.configure(level, "json")
    app = create_app(Settings())
    app.router.routes.insert(0, APIRoute(SINGLE_PATH, handler, methods=["POST"]))
    if not whole:
        app.user_middleware = [middleware for middleware in app.user_middleware if _observes(middleware)]
    return app


def _observes(middleware: Middleware) -> bool:
    factory: object = middleware.cls
    return factory is ObservationMiddleware


def build(variant: str) -> FastAPI:
    """Build one of VARIANTS."""
    if variant == "bare":
        return _bare()
    if variant == "instrumentator":
        return _instrumentator()
    if variant == FORECASTS:
        logs.configure("info", "json")
        return create_app(Settings())
    return _kronos(whole=variant.startswith("whole"), level="info" if variant.endswith("logs") else "warning")


def main(variant: str) -> None:
    """Serve `variant` until a signal arrives."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - `cost` reads the port from here
        config = uvicorn.Config(build(variant), log_config=None, access_log=False, server_header=False, ws="none")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
