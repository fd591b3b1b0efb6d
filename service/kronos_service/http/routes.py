"""The HTTP routes: from the body of a request to the forecaster, and back to the response.

Parsing and writing bodies, and all that pandas does, can take a second of CPU time: it runs in threads.
"""

from __future__ import annotations

import asyncio
import functools
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import orjson
import torch
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from kronos_mixin import __version__
from kronos_service.api.answers import Finished, finish
from kronos_service.api.candles import Prepared
from kronos_service.api.errors import Kinds, Problem
from kronos_service.api.parsing import Expect, Refused, RequestLimits, parse_batch, parse_single
from kronos_service.api.paths import BATCH_PATH, HEALTH_PATH, INFO_PATH, METRICS_PATH, READY_PATH, SINGLE_PATH
from kronos_service.api.schemas import (
    BatchAnswer,
    HealthAnswer,
    InfoAnswer,
    Limits,
    LoadedModel,
    ReadyAnswer,
    SingleAnswer,
)
from kronos_service.forecaster import Forecast, Forecaster, Job, ModelInfo, Stopped
from kronos_service.http.problems import openapi_responses
from kronos_service.http.scope import exchange_of
from kronos_service.http.scrape import Scrape
from kronos_service.lifecycle import Lifecycle, version_of
from kronos_service.settings import Settings
from kronos_service.telemetry.exchange import Exchange
from kronos_service.telemetry.metrics import Metrics

_PROCESSING_THREADS = 2
"""Requests parsed or written at once: more threads would only contend for the interpreter lock."""

_PREDICTION_PROBLEMS = openapi_responses(
    Kinds.malformed,
    Kinds.unauthorized,
    Kinds.forbidden,
    Kinds.method,
    Kinds.slow_body,
    Kinds.too_large,
    Kinds.encoding,
    Kinds.media_type,
    Kinds.invalid,
    Kinds.rate_limited,
    Kinds.inference,
    Kinds.out_of_memory,
    Kinds.invalid_output,
    Kinds.internal,
    Kinds.overloaded,
    Kinds.not_ready,
    Kinds.draining,
    Kinds.stopped,
    Kinds.timeout,
)


@dataclass(frozen=True, slots=True)
class Service:
    """What the handlers need."""

    settings: Settings
    forecaster: Forecaster
    metrics: Metrics
    lifecycle: Lifecycle


def build_router(service: Service) -> APIRouter:
    """All routes under /v1."""
    router = APIRouter()
    predictor = _Predictor(service)

    @router.post(
        SINGLE_PATH,
        summary="Forecast one series",
        response_model=SingleAnswer,
        responses=_PREDICTION_PROBLEMS,
        openapi_extra=_json_body("SingleRequest"),
    )
    async def predict_single(request: Request) -> Response:
        return await predictor.answer(request, parse_single, _write_single)

    @router.post(
        BATCH_PATH,
        summary="Forecast many series",
        response_model=BatchAnswer,
        responses=_PREDICTION_PROBLEMS,
        openapi_extra=_json_body("BatchRequest"),
    )
    async def predict_batch(request: Request) -> Response:
        return await predictor.answer(request, parse_batch, _write_batch)

    @router.get(INFO_PATH, summary="Model, limits and versions", response_model=InfoAnswer)
    async def info() -> InfoAnswer:
        return _info(service)

    @router.head(HEALTH_PATH, include_in_schema=False)
    @router.get(
        HEALTH_PATH,
        summary="Whether the process works, or needs a restart",
        response_model=HealthAnswer,
        responses=openapi_responses(Kinds.stuck),
    )
    async def healthz() -> HealthAnswer:
        service.lifecycle.check_healthy()
        return HealthAnswer()

    @router.head(READY_PATH, include_in_schema=False)
    @router.get(
        READY_PATH,
        summary="Whether forecasts are possible",
        response_model=ReadyAnswer,
        responses=openapi_responses(Kinds.not_ready, Kinds.draining),
    )
    async def readyz() -> ReadyAnswer:
        service.lifecycle.check_ready()
        return ReadyAnswer()

    if service.settings.metrics_port is None:
        scrape = Scrape(service.metrics, service.settings).answer
        router.add_api_route(
            METRICS_PATH,
            scrape,
            summary="Metrics for Prometheus",
            response_class=Response,
            responses={200: {"description": "Prometheus text, or OpenMetrics", "content": {"text/plain": {}}}},
        )
        router.add_api_route(METRICS_PATH, scrape, methods=["HEAD"], include_in_schema=False)

    return router


class _Predictor:
    """The two prediction routes."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._forecaster = service.forecaster
        self._metrics = service.metrics
        self._lifecycle = service.lifecycle
        self._time_limit = settings.time_limit_seconds
        self._limits = RequestLimits(
            candles=settings.max_candles,
            horizon=settings.max_horizon,
            batch_items=settings.max_batch_items,
            samples=settings.max_samples,
            work=settings.max_work,
        )
        self._threads = anyio.CapacityLimiter(_PROCESSING_THREADS)

    async def answer(
        self,
        request: Request,
        parse: Callable[[bytes, RequestLimits, Expect], list[Prepared | Refused]],
        write: Callable[[Sequence[dict[str, object]], dict[str, str]], bytes],
    ) -> Response:
        exchange = exchange_of(request.scope)
        body = await request.body()
        left = asyncio.create_task(_client_left(request))
        try:
            with exchange.timed("preprocess"), self._metrics.processing("preprocess"):
                parsed = await anyio.to_thread.run_sync(
                    parse, body, self._limits, self._room_for(exchange.caller), limiter=self._threads
                )
            prepared = [one for one in parsed if isinstance(one, Prepared)]
            _describe(exchange, prepared, refused=len(parsed) - len(prepared))
            model = self._model()
            forecasts = await self._forecast(exchange, prepared, left)
            with exchange.timed("postprocess"), self._metrics.processing("postprocess"):
                finished, content = await anyio.to_thread.run_sync(
                    _write, parsed, forecasts, write, model, exchange.request_id, limiter=self._threads
                )
            if left.done():
                raise ClientDisconnect
        finally:
            left.cancel()
        self._count(exchange.api_route, prepared, finished)
        self._metrics.counter("kronos_refused_series_total").inc(len(parsed) - len(prepared))
        return Response(content, media_type="application/json")

    def _count(self, route: str, prepared: Sequence[Prepared], finished: Sequence[Finished]) -> None:
        metrics = self._metrics
        metrics.counter("kronos_mended_candles_total", route).inc(sum(one.mended for one in prepared))
        metrics.counter("kronos_forecast_candles_total", route).inc(sum(one.series.horizon for one in prepared))
        metrics.counter("kronos_inconsistent_candles_total", route).inc(sum(one.corrected for one in finished))
        metrics.counter("kronos_nonpositive_candles_total", route).inc(sum(one.nonpositive for one in finished))

    def _room_for(self, caller: str) -> Expect:
        # Checked first, because validating a batch of hundreds of series takes a while.
        return functools.partial(self._forecaster.check_room, caller=caller)

    def _model(self) -> ModelInfo:
        if (model := self._forecaster.info) is None:
            raise Stopped("shutdown")
        return model

    async def _forecast(
        self, exchange: Exchange, prepared: Sequence[Prepared], left: asyncio.Task[None]
    ) -> list[Forecast]:
        exchange.stage = "queue"
        if self._lifecycle.interrupted().done():
            exchange.cancelled = "shutdown"
            raise Stopped("shutdown")
        job = self._forecaster.submit([one.series for one in prepared], exchange.caller)
        route = exchange.api_route
        for one in prepared:
            self._metrics.histogram("kronos_prediction_input_candles", route).observe(one.input_candles)
            self._metrics.histogram("kronos_prediction_horizon_candles", route).observe(one.series.horizon)
        if (info := self._forecaster.info) is not None:
            exchange.fields["model"] = version_of(info.model_name, info.revision)
        submitted = time.perf_counter()
        try:
            return await self._race(exchange, job, left)
        finally:
            exchange.stage = job.stage
            exchange.spent("queue", job.queue_seconds)
            if job.stage == "inference":
                self._metrics.inference(exchange, job.inference_seconds)
                exchange.spent("inference", job.inference_seconds)
            for stage, spent in job.stages.items():
                exchange.spent(stage, spent.seconds)
            _trace(exchange, job, submitted)

    async def _race(self, exchange: Exchange, job: Job, left: asyncio.Task[None]) -> list[Forecast]:
        """The job's result, unless the client disconnects, the time runs out or a shutdown stops it first."""
        result: asyncio.Future[list[Forecast]] = asyncio.wrap_future(job.future)
        # Otherwise asyncio would log the exception of a result that nobody waits for any more.
        result.add_done_callback(lambda future: future.cancelled() or future.exception())
        interrupted = self._lifecycle.interrupted()
        remaining = self._time_limit - exchange.elapsed_seconds
        try:
            waiting: list[asyncio.Future[Any]] = [result, left, interrupted]
            await asyncio.wait(waiting, timeout=max(0, remaining), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            job.cancel(self._lifecycle.cancellation)
            raise
        if result.done():
            return self._settled(exchange, result)
        if left.done():
            exchange.cancelled = "client_disconnect"
        else:
            exchange.cancelled = "shutdown" if interrupted.done() else "timeout"
        # The response does not wait for the model, which stops before its next step.
        job.cancel(exchange.cancelled)
        if left.done():
            raise ClientDisconnect
        if exchange.cancelled == "shutdown":
            raise Stopped("shutdown")
        exchange.timed_out = job.stage
        raise Problem(Kinds.timeout, _time_is_up(self._time_limit, job))

    def _settled(self, exchange: Exchange, result: asyncio.Future[list[Forecast]]) -> list[Forecast]:
        try:
            return result.result()
        except Stopped:
            # The forecaster was closed, which only a shutdown does.
            exchange.cancelled = "shutdown"
            raise


def _time_is_up(limit: float, job: Job) -> str:
    """What a 504 says: where the time went, which may be elsewhere than where it ended."""
    waited, worked = job.queue_seconds, job.inference_seconds
    where = f"of which {waited:.1f} s in the queue and {worked:.1f} s in the model"
    if waited > worked:
        return f"no forecast after {limit:g} s, {where}: the service is busy, send the request again later"
    return f"no forecast after {limit:g} s, {where}: send fewer series, a shorter horizon or fewer samples"


def _describe(exchange: Exchange, prepared: Sequence[Prepared], refused: int) -> None:
    """Note what was asked for, for the log."""
    exchange.fields.update(
        refused=refused or None,
        batch=len(prepared),
        candles=sum(one.input_candles for one in prepared),
        horizon=max(one.series.horizon for one in prepared),
        samples=max(one.series.sampling.samples for one in prepared),
    )


def _trace(exchange: Exchange, job: Job, submitted: float) -> None:
    """Note the parts of a job for the trace: each stage from its first series to its last."""
    reached = submitted + job.queue_seconds
    exchange.part("queue", submitted, reached)
    if job.stage == "queue":
        return
    exchange.part("inference", reached, reached + job.inference_seconds)
    for stage, spent in job.stages.items():
        attributes = {"kronos.seconds": spent.seconds, "kronos.calls": spent.calls}
        exchange.part(stage, spent.started, spent.ended, "inference", **attributes)


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _versions(model: ModelInfo, request_id: str) -> dict[str, str]:
    return {
        "model_version": version_of(model.model_name, model.revision),
        "tokenizer_version": version_of(model.tokenizer_name, model.tokenizer_revision),
        "request_id": request_id,
    }


def _write(
    parsed: Sequence[Prepared | Refused],
    forecasts: Sequence[Forecast],
    write: Callable[[Sequence[dict[str, object]], dict[str, str]], bytes],
    model: ModelInfo,
    request_id: str,
) -> tuple[list[Finished], bytes]:
    finished: list[Finished] = []
    items: list[dict[str, object]] = []
    for one in parsed:
        if isinstance(one, Refused):
            items.append({"series_id": one.series_id, "problem": one.problem.body(request_id)})
        else:
            finished.append(finish(one, forecasts[len(finished)], model.max_context))
            items.append(finished[-1].item)
    return finished, write(items, _versions(model, request_id))


def _write_single(items: Sequence[dict[str, object]], versions: dict[str, str]) -> bytes:
    return orjson.dumps(items[0] | versions)


def _write_batch(items: Sequence[dict[str, object]], versions: dict[str, str]) -> bytes:
    # Item by item, so that the interpreter lock is released in between.
    written = orjson.Fragment(b"[" + b",".join(orjson.dumps(item) for item in items) + b"]")
    return orjson.dumps({"items": written} | versions)


def _json_body(schema: str) -> dict[str, Any]:
    """The request body in the OpenAPI document, which FastAPI does not know: the handlers parse it in a thread."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def _info(service: Service) -> InfoAnswer:
    settings, model = service.settings, service.forecaster.info
    return InfoAnswer(
        version=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        ready=service.forecaster.ready and not service.lifecycle.draining,
        model=None
        if model is None
        else LoadedModel(
            model_version=version_of(model.model_name, model.revision),
            tokenizer_version=version_of(model.tokenizer_name, model.tokenizer_revision),
            model=model.model_name,
            revision=model.revision,
            tokenizer=model.tokenizer_name,
            tokenizer_revision=model.tokenizer_revision,
            device=model.device,
            dtype=model.dtype,
            max_context=model.max_context,
            max_context_from=model.max_context_from,
            precision=model.precision,
            parameters=model.parameters,
        ),
        limits=Limits(
            max_candles=settings.max_candles,
            max_horizon=settings.max_horizon,
            max_batch_items=settings.max_batch_items,
            max_samples=settings.max_samples,
            max_work=settings.max_work,
            max_body_bytes=settings.max_body_bytes,
            time_limit_seconds=settings.time_limit_seconds,
            rate_limit=settings.rate_limit,
        ),
    )
