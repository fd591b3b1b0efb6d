"""The application, wired together from its parts."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from kronos_mixin import __version__
from kronos_mixin.contract import ContractError, load_contract
from kronos_service import cgroups
from kronos_service.api.paths import API_PATHS, METRICS_PATH, OPENAPI_PATH
from kronos_service.api.schemas import BatchRequest, SingleRequest
from kronos_service.api.schemas import Problem as ProblemSchema
from kronos_service.forecaster import Forecaster, Limits
from kronos_service.http.access import Access, KeyFile
from kronos_service.http.docs import add_docs
from kronos_service.http.gate import GateMiddleware
from kronos_service.http.middleware import ObservationMiddleware, answer
from kronos_service.http.routes import Service, build_router
from kronos_service.http.scope import exchange_of
from kronos_service.http.scrape import Scrape, ScrapeAddress
from kronos_service.keys import parse_networks, parse_origins
from kronos_service.lifecycle import Lifecycle
from kronos_service.settings import Settings, read_api_keys, read_settings
from kronos_service.telemetry import logs
from kronos_service.telemetry.loop_lag import LoopLag
from kronos_service.telemetry.metrics import Metrics
from kronos_service.telemetry.recorder import Recorder
from kronos_service.telemetry.tracing import tracing_from_environment

_STOP_SECONDS = 1.0
"""Longest wait, at the end, for the running step of the model, and for the last spans to be taken."""

_MOST_THREADS = 8
"""More hardly speed up a call of the model: base takes as long with 15 as with 8."""

_SWITCH_SECONDS = 0.001
"""How long a busy thread may keep the interpreter lock while the event loop wants it; Python's default is 5 ms."""


def create_app(
    settings: Settings | None = None,
    forecaster: Forecaster | None = None,
    registry: CollectorRegistry | None = None,
) -> FastAPI:
    """Build the application.

    ``settings`` default to those of the environment, ``registry`` and ``forecaster`` to new ones. A forecaster that
    is ready already is not loaded again.

    For the server: ``app.state.lifecycle`` is drained and stopped, ``app.state.recorder`` is told of requests that
    the protocol refuses, and ``app.state.scrape`` is the application for an address that serves only the metrics.
    """
    settings = settings or read_settings().settings
    contract = load_contract()
    if set(contract.label_values["api_route"]) != API_PATHS or contract.metrics_path != METRICS_PATH:
        raise ContractError("the paths of the service are not those of the contract: api_route, metrics_path")
    metrics = Metrics(registry or CollectorRegistry(), contract, read_api_keys(settings) or {})
    access = Access(settings)
    limits = Limits(
        waiting=settings.queue_capacity,
        rows=settings.batch_rows,
        cache_bytes=settings.cache_bytes,
        seconds=settings.max_model_seconds or settings.time_limit_seconds,
        hop=settings.context_hop,
    )
    forecaster = forecaster or Forecaster(limits, threads=settings.torch_threads or _threads(), observer=metrics)
    metrics.gauge("kronos_queue_depth").set_function(lambda: forecaster.depth)
    metrics.gauge("kronos_queue_capacity").set_function(lambda: forecaster.capacity)
    metrics.gauge("kronos_running_series").set_function(lambda: forecaster.running)
    metrics.gauge("kronos_cached_positions").set_function(lambda: forecaster.positions)
    metrics.gauge("kronos_cached_positions_limit").set_function(lambda: forecaster.position_limit)
    lifecycle = Lifecycle(settings, forecaster, metrics)
    lag = LoopLag()
    metrics.gauge("kronos_event_loop_lag_seconds").set_function(lag.largest_seconds)

    logs.count_losses(metrics.counter("kronos_log_lines_lost_total").inc)

    tracing = tracing_from_environment()
    recorder = Recorder(metrics, settings.log_rejections)

    def use_keys(keys: Mapping[str, str]) -> None:
        metrics.add_clients(keys)
        access.replace_keys(keys)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sys.setswitchinterval(_SWITCH_SECONDS)
        tasks = [asyncio.create_task(lag.sample_forever())]
        if settings.api_keys_file is not None:
            tasks.append(asyncio.create_task(KeyFile(settings.api_keys_file, use_keys).watch_forever()))
        lifecycle.start()
        yield
        for task in tasks:
            task.cancel()
        recorder.close()
        # In threads, because they wait for the running step of the model and for whoever collects the traces, and
        # daemons, because the process need not.
        stopping = [threading.Thread(target=lifecycle.stop, daemon=True)]
        if tracing is not None:
            stopping.append(threading.Thread(target=tracing.close, daemon=True))
        for thread in stopping:
            thread.start()
        for thread in stopping:
            await asyncio.to_thread(thread.join, _STOP_SECONDS)

    app = FastAPI(
        title="Kronos forecasting service",
        description="Forecasts candles with Kronos. Errors are application/problem+json (RFC 9457).",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        # All off: traces are made by telemetry.tracing, and the rest would repeat our metrics and logs.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # The redirect from /v1/predict/single/ would be counted as unmatched.
        redirect_slashes=False,
        root_path=settings.root_path or "",
    )
    app.include_router(build_router(Service(settings, forecaster, metrics, lifecycle)))
    add_docs(app)
    # Only these: Starlette would answer them itself. All other exceptions rise to ObservationMiddleware.
    app.add_exception_handler(HTTPException, _handle)
    # The last one added is the outermost.
    app.add_middleware(GateMiddleware, settings=settings, lifecycle=lifecycle, access=access)
    trusted = parse_networks(settings.trusted_proxies) if settings.trusted_proxies else ()
    app.add_middleware(
        ObservationMiddleware, recorder=recorder, lifecycle=lifecycle, trusted=trusted, tracing=tracing
    )
    if settings.cors_origins is not None:
        # Outside of what counts requests: a browser asks for permission before each of them.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=parse_origins(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID", "traceparent", "tracestate"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    app.state.lifecycle = lifecycle
    app.state.recorder = recorder
    app.state.scrape = ObservationMiddleware(
        ScrapeAddress(Scrape(metrics, settings)), recorder=recorder, lifecycle=lifecycle, trusted=trusted
    )
    app.openapi = functools.partial(_openapi, app)  # type: ignore[method-assign]
    return app


def _threads() -> int:
    """Threads of the model: the CPUs that this process may use, less one for the event loop."""
    return max(1, min(_MOST_THREADS, int(cgroups.cpus()) - 1))


async def _handle(request: Request, error: Exception) -> Response:
    return answer(exchange_of(request.scope), error)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the schemas that no signature mentions because the handlers read the body."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        _, definitions = models_json_schema(
            [(SingleRequest, "validation"), (BatchRequest, "validation"), (ProblemSchema, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        document["components"]["schemas"].update(definitions["$defs"])
    return app.openapi_schema or {}
