"""The metrics of the service, every one built from the contract (``mixin/metrics.json``).

All children of closed label sets exist at 0 from the start: a series that is born with its first error has no
increase to see. Nothing that a caller writes becomes a label value.
"""

from __future__ import annotations

import gzip
import itertools
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

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
from prometheus_client.metrics_core import Metric as PrometheusMetric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector as PrometheusCollector

from kronos_mixin import __version__
from kronos_mixin.contract import Condition, Contract, ContractError, Metric
from kronos_service import cgroups
from kronos_service.forecaster import ModelInfo, Stage
from kronos_service.keys import MAX_CLIENTS, RESERVED_CLIENTS
from kronos_service.telemetry.exchange import ANONYMOUS, Exchange

Collector = Counter | Gauge | Histogram
C = TypeVar("C", Counter, Gauge, Histogram)

_COMPRESSION = 6
"""zlib's own default: 9, which gzip takes, is slower and hardly better."""

OTHER = "other"
"""The ``client`` label of whoever has no place among the named ones."""


class Metrics:
    """All collectors, and what it means to count something.

    It is also the forecaster's ``Observer`` (``queue_wait`` to ``candle``). Thread-safe, as prometheus-client is.
    ``clients`` are the names that the label ``client`` may take besides ``anonymous`` and ``other``.
    """

    def __init__(self, registry: CollectorRegistry, contract: Contract, clients: Iterable[str] = ()) -> None:
        """Register everything that the contract has."""
        # Process-wide in prometheus-client; without it every counter and histogram has one series more.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._contract = contract
        self._collectors = {metric.name: self._build(metric) for metric in contract.metrics.values()}
        # By name and label values: prometheus-client's own lookup takes a lock, and longer than counting does.
        self._children: dict[tuple[str, ...], Collector] = {}
        self._scrapes = anyio.CapacityLimiter(2)

        self._clients: set[str] = set()
        self.add_clients((ANONYMOUS, OTHER))
        self.add_clients(clients)
        self.gauge("kronos_build_info", __version__, platform.python_version(), torch.__version__).set(1)
        self.gauge("kronos_memory_limit_bytes").set_function(cgroups.memory_bytes)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def counter(self, name: str, *labels: str) -> Counter:
        """The counter of that name with these label values, in the contract's order; raises ContractError."""
        return self._child(Counter, name, labels)

    def gauge(self, name: str, *labels: str) -> Gauge:
        """The gauge of that name with these label values, in the contract's order; raises ContractError."""
        return self._child(Gauge, name, labels)

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The histogram of that name with these label values, in the contract's order; raises ContractError."""
        return self._child(Histogram, name, labels)

    def add_clients(self, names: Iterable[str]) -> None:
        """Give more clients a label value of their own, at 0, as long as there is room.

        Whoever comes later is counted as ``other``: names that come and go with a file of keys must not add up.
        """
        for name in names:
            if len(self._clients) < MAX_CLIENTS + len(RESERVED_CLIENTS):
                self._clients.add(name)
                self.counter("kronos_rate_limited_total", name)

    def count(self, exchange: Exchange) -> None:
        """Count a request that has ended, once. Its route must be one that is counted."""
        route, outcome, problem = exchange.route, exchange.outcome, exchange.problem
        assert route is not None  # noqa: S101 - the middleware asks for counted routes only
        self.counter("kronos_requests_total", route, outcome).inc()
        if problem is not None and problem.kind.rejection is not None:
            self.counter("kronos_rejections_total", problem.kind.rejection).inc()
            if problem.kind.rejection == "rate_limited":
                client = exchange.client if exchange.client in self._clients else OTHER
                self.counter("kronos_rate_limited_total", client).inc()
        if route not in self._contract.label_values["api_route"]:
            return
        if problem is not None and problem.kind.error_type is not None:
            self.counter("kronos_errors_total", route, problem.kind.error_type).inc()
        if exchange.cancelled is not None:
            self.counter("kronos_cancellations_total", exchange.cancelled).inc()
        if exchange.timed_out is not None:
            self.counter("kronos_timeouts_total", route, exchange.timed_out).inc()
        if exchange.admitted and outcome in self._contract.label_values["admitted_status"]:
            duration = self.histogram("kronos_request_duration_seconds", route, outcome)
            duration.observe(exchange.elapsed_seconds, exchange.exemplar)
        if exchange.request_bytes is not None:
            self.histogram("kronos_request_size_bytes", route).observe(exchange.request_bytes)
        if exchange.code is not None:
            self.histogram("kronos_response_size_bytes", route).observe(exchange.response_bytes)

    def processing(self, stage: str) -> AbstractContextManager[object]:
        """Time a block: one request before (``preprocess``) or after (``postprocess``) the model."""
        return self.histogram("kronos_processing_seconds", stage).time()

    def inference(self, exchange: Exchange, seconds: float) -> None:
        """The model's time for one request of an API route."""
        self.histogram("kronos_model_inference_seconds", exchange.api_route).observe(seconds, exchange.exemplar)

    def queue_wait(self, seconds: float) -> None:
        """A series waited this long for the model."""
        self.histogram("kronos_queue_wait_seconds").observe(seconds)

    def stage(self, name: Stage, seconds: float) -> None:
        """A series spent this long in a stage of the model."""
        self.histogram("kronos_model_stage_seconds", name).observe(seconds)

    def step(self, rows: int) -> None:
        """The model drew a candle for this many sample paths at once."""
        self.histogram("kronos_batch_rows").observe(rows)

    def first_candle(self, seconds: float) -> None:
        """The first candle of a series was drawn this long after its admission."""
        self.histogram("kronos_time_to_first_candle_seconds").observe(seconds)

    def candle(self, seconds: float) -> None:
        """Each further candle of a series took this long."""
        self.histogram("kronos_time_per_candle_seconds").observe(seconds)

    def load_succeeded(self, seconds: float, info: ModelInfo) -> None:
        """A load took this long, and this is what runs now."""
        self.counter("kronos_model_loads_total", "success").inc()
        self.gauge("kronos_model_load_seconds").set(seconds)
        self.gauge(
            "kronos_model_info",
            info.model_name,
            info.revision,
            info.tokenizer_name,
            info.tokenizer_revision,
            info.device,
            info.dtype,
        ).set(1)
        self._expose("model_loaded")
        if info.device.startswith("cuda"):
            device = torch.device(info.device)
            self.gauge("kronos_device_memory_used_bytes").set_function(lambda: torch.cuda.memory_reserved(device))
            self.gauge("kronos_device_memory_limit_bytes").set_function(lambda: torch.cuda.mem_get_info(device)[1])
            self._expose("gpu")

    def load_failed(self, outcome: str) -> str:
        """A load failed; returns what the contract says that ``outcome`` means."""
        self.counter("kronos_model_loads_total", outcome).inc()
        return self._contract.label_values["load_outcome"][outcome].removesuffix(".").lower()

    async def render(self, accept: str | None, names: Sequence[str] = (), *, compress: bool) -> tuple[bytes, str]:
        """The scrape, in the format that the Accept header asks for, and its content type.

        With ``names``, only series of these names. ``compress`` means gzip. Rendered in a thread of its own budget:
        neither the event loop nor a busy pool delays it.
        """
        encode, content_type = choose_encoder(accept or "")

        def encoded() -> bytes:
            text: bytes = encode(_Only(self.registry, frozenset(names)) if names else self.registry)
            return gzip.compress(text, _COMPRESSION, mtime=0) if compress else text

        return await anyio.to_thread.run_sync(encoded, limiter=self._scrapes), content_type

    def _expose(self, condition: Condition) -> None:
        """Expose the metrics that exist under this condition only."""
        for metric in self._contract.metrics.values():
            if metric.when == condition:
                self.registry.register(self._collectors[metric.name])

    def _child(self, kind: type[C], name: str, labels: tuple[str, ...]) -> C:
        child = self._children.get((name, *labels))
        if child is None:
            collector = self._collectors.get(name)
            if not isinstance(collector, kind):
                raise ContractError(f"the contract has no {kind.__name__.lower()} {name}, which the service counts")
            child = self._children[(name, *labels)] = collector.labels(*labels) if labels else collector
        assert isinstance(child, kind)  # noqa: S101 - a child is of its parent's class
        return child

    def _build(self, metric: Metric) -> Collector:
        """The collector of a metric, with every child that can be known beforehand at 0."""
        names = list(metric.labels)
        registry = self.registry if metric.when is None else None
        collector: Collector
        if metric.type == "histogram":
            bounds = [float(bound) for bound in metric.buckets]
            collector = Histogram(metric.name, metric.help, names, buckets=bounds, registry=registry)
        else:
            kind = Counter if metric.type == "counter" else Gauge
            collector = kind(metric.name, metric.help, names, registry=registry)
        values = [self._contract.values(metric.name, label) for label in names]
        closed = [known for known in values if known is not None]
        if names and len(closed) == len(names):
            for combination in itertools.product(*closed):
                collector.labels(*combination)
        return collector


class _Only(PrometheusCollector):
    """A registry without the series of other names. prometheus-client's own does not know those of its collectors."""

    def __init__(self, registry: CollectorRegistry, names: frozenset[str]) -> None:
        self._registry = registry
        self._names = names

    def collect(self) -> Iterator[PrometheusMetric]:
        """Collect everything, and leave out what was not asked for."""
        for metric in self._registry.collect():
            only = PrometheusMetric(metric.name, metric.documentation, metric.type, metric.unit)
            only.samples = [sample for sample in metric.samples if sample.name in self._names]
            if only.samples:
                yield only
