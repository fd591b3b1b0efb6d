"""A simulated Kronos service: takes requests, returns the series that Prometheus would have scraped.

So alerts are tested against what the service would expose, with every child of the contract at 0 from the start, and
not against series made up to suit a rule.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kronos_mixin.contract import Metric, load_contract

SINGLE, BATCH = "/v1/predict/single", "/v1/predict/batch"
MINUTE, HOUR = 60, 3600

CONTRACT = load_contract()


# The values of labels that have no closed set.
OPEN = {"client": ("anonymous", "greedy")}

# Latency objectives in seconds. Of a histogram's boundaries, alerts can tell apart those around them.
OBJECTIVES = (5, 30)

# The gauges of a healthy instance. Tests override them with a number, or a function of the second.
WELL = {
    "kronos_model_ready": 1,
    "kronos_draining": 0,
    "kronos_model_call_seconds": 0.1,
    "kronos_queue_depth": 0,
    "kronos_queue_capacity": 100,
    "kronos_event_loop_lag_seconds": 0.01,
    "process_resident_memory_bytes": 500,
    "kronos_memory_limit_bytes": 1000,
}

Value = float | Callable[[float], float]


@dataclass(frozen=True)
class Request:
    """One request: when it ended (seconds from the start), and how; `model` is the share of its time in the model."""

    at: float
    status: str = "success"
    route: str = SINGLE
    seconds: float = 0.1
    client: str = "anonymous"
    model: float = 1.0


@dataclass(frozen=True)
class Event:
    """One thing that a counter counts or a histogram observes. A label that is not given has its first value."""

    at: float
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 1


def every(period: float, *, start: float = 1, stop: float = 2 * HOUR, **fields: object) -> list[Request]:
    """Requests at a steady pace, `period` seconds apart."""
    count = int((stop - start) / period) + 1
    return [Request(start + i * period, **fields) for i in range(count)]  # type: ignore[arg-type]


def children(gauge: str) -> list[dict[str, str]]:
    """The labels of each series of a gauge; all of them show the same value."""
    if gauge in CONTRACT.external:
        return [{}]
    known = {label: CONTRACT.values(gauge, label) or OPEN[label] for label in CONTRACT.metrics[gauge].labels}
    return [dict(zip(known, values, strict=True)) for values in itertools.product(*known.values())]


def around_objectives(buckets: tuple[str, ...]) -> list[str]:
    """The boundaries of a histogram at each objective and beside it, and +Inf."""
    near = {
        index for o in OBJECTIVES for at, le in enumerate(buckets) if float(le) == o for index in (at - 1, at, at + 1)
    }
    return [le for index, le in enumerate(buckets) if index in near] + ["+Inf"]


@dataclass
class Instance:
    """One instance, which is a target from `start` to `stop` (seconds)."""

    name: str = "a:8000"
    requests: list[Request] = field(default_factory=list)
    start: float = 0
    stop: float = float("inf")
    labels: Mapping[str, str] = field(default_factory=dict)
    # While down it is still a target: `up` is 0, and there is nothing else. Each end is a start of the process.
    down: tuple[tuple[float, float], ...] = ()
    # Whether the scrape of a second fails although the process is well.
    missed: Callable[[float], bool] = lambda _time: False
    gauges: Mapping[str, Value] = field(default_factory=dict)
    # By metric, for those that requests do not determine: events, or just their times.
    events: Mapping[str, Iterable[Event | float]] = field(default_factory=dict)
    version: str = "1.0.0"
    # Labels of the target that take the place of labels that the service sets.
    taken: Mapping[str, str] = field(default_factory=dict)
    tokenizer_revision: str = "8c1d"
    # Whether another program answers on the port.
    foreign: bool = False
    # Histograms whose buckets do not arrive from some second on.
    lost: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = {*self.gauges, *self.events} - {*CONTRACT.metrics, *CONTRACT.external}
        assert not unknown, f"the contract does not have {', '.join(sorted(unknown))}"

    def series(
        self, end: float, step: int, read: Collection[str]
    ) -> Iterator[tuple[str, dict[str, str], list[float | None]]]:
        """Name, labels and one value per scrape, `step` seconds apart; None where the scrape found nothing.

        Of all series those that are in `read`.
        """
        times = [n * step for n in range(int(end / step) + 1)]
        known = [self.start <= time < self.stop for time in times]
        alive = [
            here and not any(begin <= time < stop for begin, stop in self.down)
            for here, time in zip(known, times, strict=True)
        ]
        missed = [self.missed(time) for time in times]
        if "up" in read:
            up = [
                float(ok and not lost) if here else None for here, ok, lost in zip(known, alive, missed, strict=True)
            ]
            yield "up", {}, up
        if self.foreign:
            return
        for name, labels, events in self._counters(read):
            gone = self.lost.get(name.removesuffix("_bucket"), float("inf"))
            here = [up and time < gone for up, time in zip(alive, times, strict=True)]
            counted = self._count(times, here, sorted(events))
            yield name, labels, [None if lost else value for value, lost in zip(counted, missed, strict=True)]
        for name, labels, value in self._gauges():
            if name not in read:
                continue
            yield (
                name,
                labels,
                [
                    (value(time) if callable(value) else value) if up and not lost else None
                    for up, lost, time in zip(alive, missed, times, strict=True)
                ],
            )

    def _count(self, times: list[int], alive: list[bool], events: list[float]) -> list[float | None]:
        """A counter's value at each scrape; a restarted process begins at 0."""
        values: list[float | None] = []
        born = 0
        for index, time in enumerate(times):
            if alive[index] and index and not alive[index - 1]:
                born = bisect_right(events, times[index - 1])
            values.append(float(bisect_right(events, time) - born) if alive[index] else None)
        return values

    def _counters(self, read: Collection[str]) -> Iterator[tuple[str, dict[str, str], list[float]]]:
        """Every child of the counters and histograms in `read`, with the times of its events."""
        for metric in CONTRACT.metrics.values():
            if metric.type != "gauge" and not CONTRACT.exposed_series(metric.name).keys().isdisjoint(read):
                yield from self._children(metric, self._events_of(metric.name))

    def _children(self, metric: Metric, events: list[Event]) -> Iterator[tuple[str, dict[str, str], list[float]]]:
        known = {label: CONTRACT.values(metric.name, label) or OPEN[label] for label in metric.labels}
        by_labels: dict[tuple[str, ...], list[Event]] = {}
        for event in events:
            by_labels.setdefault(tuple(event.labels.get(label, known[label][0]) for label in known), []).append(event)
        for values in itertools.product(*known.values()):
            labels = dict(zip(known, values, strict=True))
            own = by_labels.get(values, [])
            if metric.type == "counter":
                yield metric.name, labels, [event.at for event in own]
                continue
            for le in around_objectives(metric.buckets):
                yield (
                    f"{metric.name}_bucket",
                    {**labels, "le": le},
                    [event.at for event in own if event.value <= float(le)],
                )

    def _events_of(self, name: str) -> list[Event]:
        """The events of a metric: from the requests, if they determine it, else from `events`."""
        if name == "kronos_requests_total":
            return [Event(r.at, {"route": r.route, "status": r.status}) for r in self.requests]
        if name == "kronos_request_duration_seconds":
            admitted = CONTRACT.label_values["admitted_status"]
            return [
                Event(r.at, {"route": r.route, "status": r.status}, r.seconds)
                for r in self.requests
                if r.status in admitted
            ]
        if name == "kronos_model_inference_seconds":
            inferred = [r for r in self.requests if r.status in ("success", "timeout", "cancelled")]
            return [Event(r.at, {"route": r.route}, r.seconds * r.model) for r in inferred]
        if name == "kronos_rate_limited_total":
            return [Event(r.at, {"client": r.client}) for r in self.requests if r.status == "rate_limited"]
        return [event if isinstance(event, Event) else Event(event) for event in self.events.get(name, ())]

    def _gauges(self) -> Iterator[tuple[str, dict[str, str], Value]]:
        for name, value in {**WELL, **self.gauges}.items():
            for labels in children(name):
                yield name, labels, value
        yield "process_start_time_seconds", {}, lambda time: max([0, *(end for _, end in self.down if end <= time)])
        yield "kronos_build_info", {"version": self.version, "python": "3.11", "torch": "2.13"}, 1
        names = {
            "model": "small",
            "revision": "4f2a",
            "tokenizer": "base",
            "tokenizer_revision": self.tokenizer_revision,
        }
        yield "kronos_model_info", {**names, "device": "cpu", "dtype": "float32"}, 1


def input_series(instances: Iterable[Instance], end: float, step: int, read: Collection[str]) -> list[dict[str, str]]:
    """promtool's `input_series` of those that are in `read`, up to `end` seconds, scraped every `step` seconds."""
    return [
        {
            "series": _selector(
                name, {"job": "kronos-api", "instance": i.name, **i.labels, **displaced(labels, i.taken)}
            ),
            "values": _values(values),
        }
        for i in instances
        for name, labels, values in i.series(end, step, read)
    ]


def displaced(labels: Mapping[str, str], taken: Mapping[str, str]) -> dict[str, str]:
    """The labels of a series as Prometheus stores them if its target has labels of the same names."""
    return {f"exported_{label}" if label in taken else label: value for label, value in labels.items()} | dict(taken)


def _selector(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def _values(values: list[float | None]) -> str:
    """Values in promtool's run-length notation: `3x40` is 3 forty-one times, `_x9` is missing nine times."""
    runs: list[tuple[float | None, int]] = []
    for value in values:
        if runs and runs[-1][0] == value:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    words, before = [], None
    for value, count in runs:
        if value is None:
            # A series that ends gets Prometheus's stale marker, as after a failed scrape or a lost target.
            stale = before is not None
            words += (["stale"] if stale else []) + ([f"_x{count - stale}"] if count - stale else [])
        else:
            words.append(f"{value:.10g}x{count - 1}" if count > 1 else f"{value:.10g}")
        before = value
    return " ".join(words)
