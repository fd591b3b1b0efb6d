"""A Kronos that a drill makes up: an instance that takes requests at a steady pace, and tells of them when scraped.

It exposes every series of the contract, as the service does, with each child at 0 from the start.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kronos_mixin.contract import Contract, Metric
from kronos_mixin.drill.measures import (
    BATCH,
    BUILD,
    CACHED_POSITIONS,
    MEMORY_LIMIT,
    MODEL,
    QUEUE_CAPACITY,
    REASONS,
    SINGLE,
    STAGES,
    UnknownMetric,
    measure,
    mentioned,
)

CLIENT = "drill"
_CLIENTS = (CLIENT, "anonymous", "other")
"""A service that knows one client by name counts those without a key, and with another one, as well."""

_GAUGES = {
    "kronos_concurrent_requests": 1.0,
    "kronos_queue_depth": 0.0,
    "kronos_queue_capacity": QUEUE_CAPACITY,
    "kronos_running_series": 1.0,
    "kronos_cached_positions": 512.0,
    "kronos_cached_positions_limit": CACHED_POSITIONS,
    "kronos_model_ready": 1.0,
    "kronos_draining": 0.0,
    "kronos_model_call_seconds": 0.03,
    "kronos_model_load_seconds": 2.4,
    "kronos_model_info": 1.0,
    "kronos_build_info": 1.0,
    "kronos_memory_limit_bytes": MEMORY_LIMIT,
    "kronos_event_loop_lag_seconds": 0.006,
    "kronos_device_memory_used_bytes": 0.4 * MEMORY_LIMIT,
    "kronos_device_memory_limit_bytes": MEMORY_LIMIT,
    "process_resident_memory_bytes": 0.4 * MEMORY_LIMIT,
    "process_virtual_memory_bytes": MEMORY_LIMIT,
    "process_open_fds": 24.0,
    "process_max_fds": 1024.0,
    "python_info": 1.0,
}
"""The gauges of an instance that is well."""

_OF_PYTHON = {
    "implementation": ("CPython",),
    "major": ("3",),
    "minor": ("11",),
    "patchlevel": ("2",),
    "version": (BUILD["python"],),
    "generation": ("0", "1", "2"),
}
"""The labels of what prometheus-client exposes by itself."""

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Flow:
    """Requests of one kind: how many a second, and what they are like."""

    pace: float
    status: str = "success"
    route: str = SINGLE
    seconds: float = 0.2
    inference: float = 0.1
    """Of these seconds, those in the model."""


@dataclass(frozen=True)
class Behaviour:
    """How an instance behaves, for as long as that goes on."""

    flows: tuple[Flow, ...] = (Flow(4), Flow(2, route=BATCH))
    gauges: Mapping[str, float] = field(default_factory=dict)
    """Those that are not as when it is well."""
    events: Mapping[str, float] = field(default_factory=dict)
    """Counters that requests do not move, each with its pace a second."""
    up: bool = True
    listed: bool = True
    """Whether service discovery finds it."""
    foreign: bool = False
    """Whether another program answers in its place."""
    without: frozenset[str] = frozenset()
    """Histograms whose buckets get lost on the way."""
    displaced: Mapping[str, str] = field(default_factory=dict)
    """Labels that the target has in place of the service's, as Prometheus stores them."""
    restart: float | None = None
    """Seconds between two starts of the process; None: it runs on."""
    version: str = BUILD["version"]
    device: str = "cpu"


@dataclass
class Instance:
    """One instance. May be scraped and told how to behave from several threads."""

    contract: Contract
    name: str
    """Its label `instance`."""
    behaviour: Behaviour
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Flow, float] = {}
        self._events: dict[str, float] = {}
        self._started = self._now = self.clock()

    def behave(self, behaviour: Behaviour) -> None:
        """Behave in another way from now on."""
        with self._lock:
            self._advance()
            self.behaviour = behaviour

    def scrape(self) -> str:
        """The body of /v1/metrics now."""
        with self._lock:
            self._advance()
            if self.behaviour.foreign:
                return "something_else 1\n"
            return "".join(self._lines())

    def _advance(self) -> None:
        now, behaviour = self.clock(), self.behaviour
        past, self._now = now - self._now, now
        if behaviour.restart is not None and now - self._started >= behaviour.restart:
            self._started = now
            self._counts, self._events = {}, {}
        for flow in behaviour.flows:
            self._counts[flow] = self._counts.get(flow, 0.0) + flow.pace * past
        for name, pace in behaviour.events.items():
            self._events[name] = self._events.get(name, 0.0) + pace * past

    def _lines(self) -> Iterator[str]:
        for metric in self.contract.metrics.values():
            if metric.when == "gpu" and self.behaviour.device == "cpu":
                continue
            if metric.type == "gauge":
                for labels in self._children(metric):
                    yield self._line(metric.name, labels, self._gauge(metric.name))
            elif metric.type == "counter":
                yield from self._counter(metric)
            else:
                yield from self._histogram(metric)
        for external in self.contract.external.values():
            if external.source == "prometheus-client":
                value = self._gauge(external.name) if external.type == "gauge" else self._by_itself(external.name)
                for labels in _combined({label: _OF_PYTHON[label] for label in external.labels}):
                    yield self._line(external.name, labels, value)

    def _gauge(self, name: str) -> float:
        if name == "process_start_time_seconds":
            return self._started
        known = _GAUGES | dict(self.behaviour.gauges)
        if name not in known:
            raise UnknownMetric(f"{name} is in the contract, but a drill has no value for it: add one to _GAUGES.")
        return known[name]

    def _by_itself(self, name: str) -> float:
        """A counter of prometheus-client. An instance whose CPU time stands still looks like a saved answer."""
        return 0.3 * (self._now - self._started) if name == "process_cpu_seconds_total" else 0.0

    def _counter(self, metric: Metric) -> Iterator[str]:
        counted = dict.fromkeys(map(_key, self._children(metric)), 0.0)
        if metric.name == "kronos_model_loads_total":
            counted[_key({"outcome": "success"})] = 1.0
        # No request moves a counter of which that is not said: an alert may read it.
        for flow, number in self._counts.items() if mentioned(metric) else ():
            weight = measure(metric).weight
            for labels, _ in self._observed(metric, flow):
                counted[_key(labels)] += int(number) * (1.0 if weight is None else weight(_values(flow)))
        for key, value in counted.items():
            yield self._line(metric.name, dict(key), value + int(self._events.get(metric.name, 0)))

    def _histogram(self, metric: Metric) -> Iterator[str]:
        bounds = (*metric.buckets, "+Inf")
        below = {_key(labels): [0.0] * len(bounds) for labels in self._children(metric)}
        sums = dict.fromkeys(below, 0.0)
        for flow, number in self._counts.items():
            weight = measure(metric).weight
            count = int(number) * (1.0 if weight is None else weight(_values(flow)))
            for labels, value in self._observed(metric, flow):
                key = _key(labels)
                sums[key] += count * value
                below[key] = [
                    held + (count if value <= float(le) else 0.0) for held, le in zip(below[key], bounds, strict=True)
                ]
        for key, counts in below.items():
            labels = dict(key)
            if metric.name not in self.behaviour.without:
                for le, value in zip(bounds, counts, strict=True):
                    yield self._line(f"{metric.name}_bucket", {**labels, "le": le}, value)
            yield self._line(f"{metric.name}_count", labels, counts[-1])
            yield self._line(f"{metric.name}_sum", labels, sums[key])

    def _observed(self, metric: Metric, flow: Flow) -> Iterator[tuple[Labels, float]]:
        """The children of a metric that count a request of a flow, each with the value that it observes."""
        found = measure(metric)
        if found.statuses is not None and flow.status not in found.statuses:
            return
        if metric.labels.get("route") == "api_route" and flow.route not in self.contract.label_values["api_route"]:
            return
        own = {"route": flow.route, "status": flow.status, "reason": REASONS.get(flow.status, "")}
        value = found.value(_values(flow))
        stages = metric.labels.get("stage", "")
        if stages.endswith("_stage") and stages != "timeout_stage":
            for stage in self.contract.label_values[stages]:
                yield {"stage": stage}, value * STAGES[stage]
            return
        first = {label: self._known(metric, label)[0] for label in metric.labels}
        yield {**first, **{label: own[label] for label in first.keys() & own.keys()}}, value

    def _children(self, metric: Metric) -> Iterator[Labels]:
        return _combined({label: self._known(metric, label) for label in metric.labels})

    def _known(self, metric: Metric, label: str) -> tuple[str, ...]:
        values = self.contract.values(metric.name, label)
        if values is not None:
            return values
        if label == "client":
            return _CLIENTS
        own = {**MODEL, **BUILD, "device": self.behaviour.device, "version": self.behaviour.version}
        if label not in own:
            raise UnknownMetric(f"{metric.name}: a drill has no value for its open label {label}: add one.")
        return (own[label],)

    def _line(self, name: str, labels: Labels, value: float) -> str:
        if taken := self.behaviour.displaced:
            labels = {f"exported_{label}" if label in taken else label: text for label, text in labels.items()}
            labels |= {label: text for label, text in taken.items() if f"exported_{label}" in labels}
        shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
        return f"{name}{{{shown}}} {value!r}\n"


def _combined(values: Mapping[str, tuple[str, ...]]) -> Iterator[Labels]:
    """Every combination of the values of labels."""
    for chosen in itertools.product(*values.values()):
        yield dict(zip(values, chosen, strict=True))


def _key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(labels.items())


def _values(flow: Flow) -> Mapping[str, float]:
    """What measures read of a request of the flow."""
    return {
        "seconds": flow.seconds,
        "wait": flow.seconds - flow.inference,
        "inference": flow.inference,
        "candles": 200.0,
        "horizon": 24.0,
        "series": 1.0 if flow.route == SINGLE else 4.0,
        "spread": 1.0,
    }
