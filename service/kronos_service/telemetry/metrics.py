"""The metrics of the service, every one built from the contract (``mixin/metrics.json``).

All children of closed label sets exist at 0 from the start: a series that is born with its first error has no
increase to see. Nothing that a caller writes becomes a label value.
"""

from __future__ import annotations

import functools
import itertools
import platform
from collections.abc import Iterable

import anyio.to_thread
import torch
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from kronos_mixin import __version__
from kronos_mixin.contract import Contract, ContractError, Metric
from kronos_service.forecaster import ModelInfo, Stage
from kronos_service.keys import MAX_CLIENTS, RESERVED_CLIENTS
from kronos_service.telemetry.exchange import ANONYMOUS, Exchange
from kronos_service.telemetry.memory import memory_limit_bytes

OTHER = "other"
"""The ``client`` label of whoever has no place among the named ones."""


class Metrics:
    """All collectors, and what it means to count something.

    It is also the forecaster's ``Observer`` (``queue_wait``, ``stage``, ``batch``). Thread-safe, as
    prometheus-client is. ``clients`` are the names that the label ``client`` may take besides ``anonymous`` and
    ``other``.
    """

    def __init__(self, registry: CollectorRegistry, contract: Contract, clients: Iterable[str] = ()) -> None:
        """Register everything; raises ContractError if service and contract do not have the same metrics."""
        # Process-wide in prometheus-client; without it every counter and histogram has one series more.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._contract = contract
        self._built: set[str] = set()
        self._scrapes = anyio.CapacityLimiter(2)

        # Where a metric has labels, a lookup of its child by their values: prometheus-client's own takes a lock and
        # more time than counting does.
        self._requests = functools.cache(self._counter("kronos_requests_total").labels)
        self._duration = functools.cache(self._histogram("kronos_request_duration_seconds").labels)
        self._request_size = functools.cache(self._histogram("kronos_request_size_bytes").labels)
        self._response_size = functools.cache(self._histogram("kronos_response_size_bytes").labels)
        self.concurrent = functools.cache(self._gauge("kronos_concurrent_requests").labels)
        self.queue_depth = self._gauge("kronos_queue_depth")
        self.queue_capacity = self._gauge("kronos_queue_capacity")
        self._queue_wait = self._histogram("kronos_queue_wait_seconds")
        self._inference = functools.cache(self._histogram("kronos_model_inference_seconds").labels)
        self._stage = functools.cache(self._histogram("kronos_model_stage_seconds").labels)
        self.processing = self._histogram("kronos_processing_seconds")
        self._batch = self._histogram("kronos_batch_series")
        self.input_candles = self._histogram("kronos_prediction_input_candles")
        self.horizon_candles = self._histogram("kronos_prediction_horizon_candles")
        self.forecast_candles = self._counter("kronos_forecast_candles_total")
        self.inconsistent_candles = self._counter("kronos_inconsistent_candles_total")
        self._timeouts = functools.cache(self._counter("kronos_timeouts_total").labels)
        self._errors = functools.cache(self._counter("kronos_errors_total").labels)
        self._rejections = functools.cache(self._counter("kronos_rejections_total").labels)
        self._rate_limited = functools.cache(self._counter("kronos_rate_limited_total").labels)
        self._cancellations = functools.cache(self._counter("kronos_cancellations_total").labels)
        self.model_ready = self._gauge("kronos_model_ready")
        self.draining = self._gauge("kronos_draining")
        self._model_loads = functools.cache(self._counter("kronos_model_loads_total").labels)
        self._model_load_seconds = self._gauge("kronos_model_load_seconds")
        self._model_info = self._gauge("kronos_model_info")
        self._build_info = self._gauge("kronos_build_info")
        self._memory_limit = self._gauge("kronos_memory_limit_bytes")
        self.event_loop_lag = self._gauge("kronos_event_loop_lag_seconds")
        self._device_memory_used = self._gauge("kronos_device_memory_used_bytes")
        self._device_memory_limit = self._gauge("kronos_device_memory_limit_bytes")
        if missing := contract.metrics.keys() - self._built:
            raise ContractError(f"the service has no collector for {', '.join(sorted(missing))}")

        self._clients: set[str] = set()
        self.add_clients((ANONYMOUS, OTHER))
        self.add_clients(clients)
        self._build_info.labels(__version__, platform.python_version(), torch.__version__).set(1)
        self._memory_limit.set_function(memory_limit_bytes)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def add_clients(self, names: Iterable[str]) -> None:
        """Give more clients a label value of their own, at 0, as long as there is room.

        Whoever comes later is counted as ``other``: names that come and go with a file of keys must not add up.
        """
        for name in names:
            if len(self._clients) < MAX_CLIENTS + len(RESERVED_CLIENTS):
                self._clients.add(name)
                self._rate_limited(name)

    def count(self, exchange: Exchange) -> None:
        """Count a request that has ended, once. Its route must be one that is counted."""
        route, outcome, problem = exchange.route, exchange.outcome, exchange.problem
        assert route is not None  # noqa: S101 - the middleware asks for counted routes only
        self._requests(route, outcome).inc()
        if problem is not None and problem.kind.rejection is not None:
            self._rejections(problem.kind.rejection).inc()
            if problem.kind.rejection == "rate_limited":
                self._rate_limited(exchange.client if exchange.client in self._clients else OTHER).inc()
        if route not in self._contract.label_values["api_route"]:
            return
        if problem is not None and problem.kind.error_type is not None:
            self._errors(route, problem.kind.error_type).inc()
        if exchange.cancelled is not None:
            self._cancellations(exchange.cancelled).inc()
        if exchange.timed_out is not None:
            self._timeouts(route, exchange.timed_out).inc()
        if exchange.admitted and outcome in self._contract.label_values["admitted_status"]:
            self._duration(route, outcome).observe(exchange.elapsed_seconds, exchange.exemplar)
        if exchange.request_bytes is not None:
            self._request_size(route).observe(exchange.request_bytes)
        self._response_size(route).observe(exchange.response_bytes)

    def inference(self, exchange: Exchange, seconds: float) -> None:
        """The model's time for one request."""
        self._inference(exchange.route).observe(seconds, exchange.exemplar)

    def queue_wait(self, seconds: float) -> None:
        """One series waited this long for its first model step."""
        self._queue_wait.observe(seconds)

    def stage(self, name: Stage, seconds: float) -> None:
        """One stage of one model call took this long."""
        self._stage(name).observe(seconds)

    def batch(self, series_count: int) -> None:
        """This many series were decoded in one model call."""
        self._batch.observe(series_count)

    def load_succeeded(self, seconds: float, info: ModelInfo) -> None:
        """A load took this long, and this is what runs now."""
        self._model_loads("success").inc()
        self._model_load_seconds.set(seconds)
        self._model_info.labels(info.model_name, info.revision, info.tokenizer_name, info.device, info.dtype).set(1)
        self.registry.register(self._model_info)
        if info.device.startswith("cuda"):
            device = torch.device(info.device)
            self._device_memory_used.set_function(lambda: torch.cuda.memory_reserved(device))
            self._device_memory_limit.set_function(lambda: torch.cuda.mem_get_info(device)[1])
            self.registry.register(self._device_memory_used)
            self.registry.register(self._device_memory_limit)

    def load_failed(self, outcome: str) -> str:
        """A load failed; returns what the contract says that ``outcome`` means."""
        self._model_loads(outcome).inc()
        return self._contract.label_values["load_outcome"][outcome].removesuffix(".").lower()

    async def render(self, accept: str | None) -> tuple[bytes, str]:
        """The scrape, in the format that the Accept header asks for, and its content type.

        Rendered in a thread of its own budget: neither the event loop nor a busy pool delays it.
        """
        encode, content_type = choose_encoder(accept or "")
        return await anyio.to_thread.run_sync(encode, self.registry, limiter=self._scrapes), content_type

    def _take(self, name: str, kind: str) -> Metric:
        metric = self._contract.metrics.get(name)
        if metric is None or metric.type != kind:
            raise ContractError(f"the service has a {kind} {name}, the contract has not")
        self._built.add(name)
        return metric

    def _registry_for(self, metric: Metric) -> CollectorRegistry | None:
        return self.registry if metric.when is None else None

    def _counter(self, name: str) -> Counter:
        metric = self._take(name, "counter")
        counter = Counter(name, metric.help, list(metric.labels), registry=self._registry_for(metric))
        self._start_at_zero(metric, counter)
        return counter

    def _gauge(self, name: str) -> Gauge:
        metric = self._take(name, "gauge")
        gauge = Gauge(name, metric.help, list(metric.labels), registry=self._registry_for(metric))
        self._start_at_zero(metric, gauge)
        return gauge

    def _histogram(self, name: str) -> Histogram:
        metric = self._take(name, "histogram")
        histogram = Histogram(
            name,
            metric.help,
            list(metric.labels),
            buckets=[float(bound) for bound in metric.buckets],
            registry=self._registry_for(metric),
        )
        self._start_at_zero(metric, histogram)
        return histogram

    def _start_at_zero(self, metric: Metric, collector: Counter | Gauge | Histogram) -> None:
        values = [self._contract.values(metric.name, label) for label in metric.labels]
        if not values or None in values:
            return
        for combination in itertools.product(*(known for known in values if known is not None)):
            collector.labels(*combination)
