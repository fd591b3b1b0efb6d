"""What Prometheus would have scraped on the day of the story: every series of the contract, as OpenMetrics text.

Counters and histograms that this module does not mention are counted once per forecast, with each label value in
turn, so that their panels have data. Gauges need an entry here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kronos_mixin.contract import Contract, Metric
from kronos_mixin.drill.measures import (
    BUILD,
    CACHED_POSITIONS,
    MEMORY_LIMIT,
    MODEL,
    QUEUE_CAPACITY,
    REASONS,
    STAGES,
    UnknownMetric,
    measure,
)
from kronos_mixin.drill.story import (
    CLIENTS,
    DAY,
    END,
    HOUR,
    INSTANCES,
    RELEASE,
    SLOW,
    Codes,
    Instance,
    Numbers,
    Requests,
)

TARGET = {"cluster": "eu", "namespace": "ml"}
"""Labels that a real installation would add to every target, in addition to job and instance."""

# For each label set: the request's codes that hold its values, and the label set that these are positions in.
_CODES = {
    "route": ("route", "route"),
    "api_route": ("route", "route"),
    "status": ("status", "status"),
    "admitted_status": ("status", "status"),
    "client": ("client", "client"),
    "error_type": ("type", "error_type"),
    "timeout_stage": ("stage", "timeout_stage"),
    "cancellation_cause": ("cause", "cancellation_cause"),
}

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Series:
    """One series, with its value at each scrape; NaN where it has none."""

    name: str
    labels: Labels
    values: Numbers


@dataclass(frozen=True)
class _Events:
    """The events that a counter counts or a histogram observes, one per row."""

    at: Numbers
    instance: Codes
    labels: Mapping[str, Codes]
    value: Numbers
    weight: Numbers | None = None


class Day:
    """The day of `requests`, scraped every `step` seconds from `begin` (seconds from its start) to its end."""

    def __init__(self, contract: Contract, requests: Requests, step: int, begin: float = 0) -> None:
        self._contract = contract
        self._requests = requests
        self._step = step
        # Counters count from the start of the day, even if only a part is shown.
        self._times = np.arange(0, DAY + 1, step, dtype=float)
        self._shown = self._times >= begin
        self.times: Numbers = self._times[self._shown]

    def series(self) -> Iterator[Series]:
        """Every series of every instance; raises UnknownMetric."""
        for number, instance in enumerate(INSTANCES):
            up = instance.up(self._times)
            target = {**TARGET, "job": self._contract.job, "instance": instance.name}
            for name, labels, values in self._of(number, instance):
                # `up` has a value even if the scrape failed.
                seen = values if name == "up" else np.where(up, values, math.nan)
                yield Series(name, {**target, **labels}, seen[self._shown])

    def _of(self, number: int, instance: Instance) -> Iterator[tuple[str, Labels, Numbers]]:
        mine = self._requests.where(self._requests.codes["instance"] == number)
        for metric in self._contract.metrics.values():
            if metric.when == "gpu" and instance.device == "cpu":
                continue
            if metric.type == "gauge":
                yield from self._gauge(metric.name, mine, instance)
            elif metric.type == "counter":
                yield from self._counter(metric, mine, instance)
            else:
                yield from self._histogram(metric, mine, instance)
        yield from self._external(mine, instance)

    def _counter(self, metric: Metric, mine: Requests, instance: Instance) -> Iterator[tuple[str, Labels, Numbers]]:
        if metric.name == "kronos_model_loads_total":
            # After the crash, the first load fails for lack of memory.
            crashed = (self._times >= instance.down[0].end) & (len(instance.down) > 1)
            failed = np.where(crashed & (self._times < instance.down[-1].begin), 1.0, 0.0)
            for outcome in self._contract.label_values["load_outcome"]:
                counted = {"success": np.ones(failed.shape), "error": failed}.get(outcome, np.zeros(failed.shape))
                yield metric.name, {"outcome": outcome}, counted
            return
        events = self._events(metric, mine)
        for labels, values in self._counted(metric, events, events.weight, instance):
            yield metric.name, labels, values

    def _histogram(self, metric: Metric, mine: Requests, instance: Instance) -> Iterator[tuple[str, Labels, Numbers]]:
        events = self._events(metric, mine)
        below: dict[tuple[tuple[str, str], ...], Numbers] = {}
        bounds = (*metric.buckets, "+Inf")
        bucket = np.searchsorted([float(bound) for bound in metric.buckets], events.value)
        weight = np.ones(events.at.shape) if events.weight is None else events.weight
        for place, bound in enumerate(bounds):
            inside = np.where(bucket == place, weight, 0.0)
            for labels, values in self._counted(metric, events, inside, instance):
                key = tuple(labels.items())
                below[key] = below[key] + values if key in below else values
                yield f"{metric.name}_bucket", {**labels, "le": bound}, below[key]
        for key, values in below.items():
            yield f"{metric.name}_count", dict(key), values
        for labels, values in self._counted(metric, events, weight * events.value, instance):
            yield f"{metric.name}_sum", labels, values

    def _counted(
        self, metric: Metric, events: _Events, weight: Numbers | None, instance: Instance
    ) -> Iterator[tuple[Labels, Numbers]]:
        """The running sum of events of each child since the start of the process."""
        names = [self._values(metric, label) for label in metric.labels]
        scrape = np.ceil(events.at / self._step).astype(np.int64)
        shape = (*map(len, names), len(self._times))
        place = np.ravel_multi_index((*(events.labels[label] for label in metric.labels), scrape), shape)
        sums = np.bincount(place, weights=weight, minlength=math.prod(shape)).reshape(shape).cumsum(axis=-1)
        started = np.maximum(np.ceil(instance.started(self._times) / self._step).astype(np.int64), 0)
        for index in np.ndindex(*shape[:-1]):
            labels = {label: values[i] for label, values, i in zip(metric.labels, names, index, strict=True)}
            yield labels, sums[index] - sums[index][started]

    def _values(self, metric: Metric, label: str) -> tuple[str, ...]:
        if metric.labels[label] == "client":
            return CLIENTS
        values = self._contract.values(metric.name, label)
        if values is None:
            raise UnknownMetric(f"{metric.name}: the story has no values for its open label {label}; add them here.")
        return values

    def _events(self, metric: Metric, mine: Requests) -> _Events:
        statuses = list(self._contract.label_values["status"])
        chosen, value, weight = _observed(metric, mine, statuses)
        rows = mine.where(chosen)
        labels: dict[str, Codes] = {}
        repeated = 1
        for label, values in metric.labels.items():
            if values in {"model_stage", "processing_stage"}:
                # Each request goes through all stages.
                repeated = len(self._contract.label_values[values])
                labels[label] = np.repeat(np.arange(repeated), len(rows.at))
            elif values == "rejection_reason":
                reasons = list(self._contract.label_values[values])
                of_status = np.array([reasons.index(REASONS.get(status, reasons[0])) for status in statuses])
                labels[label] = of_status[rows.codes["status"]]
            else:
                labels[label] = self._codes(metric, label, rows)
        value, weight = value[chosen], None if weight is None else weight[chosen]
        if repeated > 1:
            shares = [STAGES[stage] for stage in self._contract.label_values[metric.labels["stage"]]]
            value = np.concatenate([value * share for share in shares])
        return _Events(np.tile(rows.at, repeated), np.tile(rows.codes["instance"], repeated), labels, value, weight)

    def _codes(self, metric: Metric, label: str, rows: Requests) -> Codes:
        """The value of a label for each row, as a position among its values."""
        values = metric.labels[label]
        if values not in _CODES:
            # Unknown label sets: each value in turn.
            return (rows.at * 7919).astype(np.int64) % len(self._values(metric, label))
        name, known = _CODES[values]
        if known == values:
            return rows.codes[name]
        # The label has fewer values than the code: translate the positions.
        smaller = list(self._contract.label_values[values])
        table = [smaller.index(value) if value in smaller else -1 for value in self._contract.label_values[known]]
        return np.array(table)[rows.codes[name]]

    def _gauge(self, name: str, mine: Requests, instance: Instance) -> Iterator[tuple[str, Labels, Numbers]]:
        times = self._times
        ones = np.ones(times.shape)
        own = _own(instance)
        seconds, wait = mine.values["seconds"], mine.values["wait"]
        plain: dict[str, Callable[[], Numbers]] = {
            "kronos_queue_depth": lambda: self._at_once(
                mine.at - seconds, mine.at - seconds + wait, mine.values["series"]
            ),
            "kronos_queue_capacity": lambda: ones * QUEUE_CAPACITY,
            "kronos_running_series": lambda: self._running(mine),
            "kronos_cached_positions": lambda: 512 * self._running(mine),
            "kronos_cached_positions_limit": lambda: ones * CACHED_POSITIONS,
            "kronos_model_ready": lambda: ones,
            "kronos_draining": lambda: 0 * ones,
            "kronos_model_call_seconds": lambda: np.where(self._running(mine) > 0, 0.03 * own * _wobble(times), 0),
            "kronos_model_load_seconds": lambda: ones * 2.4 * own,
            "kronos_memory_limit_bytes": lambda: ones * MEMORY_LIMIT,
            "kronos_event_loop_lag_seconds": lambda: np.where(SLOW.holds(times), 0.22, 0.006) * own * _wobble(times),
            "kronos_device_memory_used_bytes": lambda: 1.1 * 2**30 * _wobble(times),
            "kronos_device_memory_limit_bytes": lambda: ones * 8 * 2**30,
        }
        if name in plain:
            yield name, {}, plain[name]()
        elif name == "kronos_concurrent_requests":
            routes = list(self._contract.label_values["route"])
            for route in self._contract.label_values["api_route"]:
                rows = mine.where(mine.codes["route"] == routes.index(route))
                begun = rows.at - rows.values["seconds"]
                yield name, {"route": route}, self._at_once(begun, rows.at, np.ones(rows.at.shape))
        elif name == "kronos_model_info":
            yield name, {**MODEL, "device": instance.device}, ones
        elif name == "kronos_build_info":
            released = instance.started(times) >= RELEASE
            for version, held in (("0.9.0", ~released), ("1.0.0", released)):
                yield name, {**BUILD, "version": version}, np.where(held, 1.0, math.nan)
        else:
            raise UnknownMetric(f"{name} is in the contract, but the story has no value for it: add one here.")

    def _running(self, mine: Requests) -> Numbers:
        """Series in the model at each scrape."""
        return self._at_once(mine.at - mine.values["inference"], mine.at, mine.values["series"])

    def _at_once(self, begun: Numbers, ended: Numbers, weight: Numbers) -> Numbers:
        """How many of the things that begin and end at these times are in progress at each scrape."""

        def passed(events: Numbers) -> Numbers:
            order = np.argsort(events)
            sums = np.concatenate([[0.0], np.cumsum(weight[order])])
            return np.asarray(sums[np.searchsorted(events[order], self._times, side="right")])

        return np.maximum(passed(begun) - passed(ended), 0)

    def _external(self, mine: Requests, instance: Instance) -> Iterator[tuple[str, Labels, Numbers]]:
        """The series of prometheus-client and of Prometheus itself, except those of alerts."""
        times = self._times
        age = times - instance.started(times)
        ones = np.ones(times.shape)
        memory = _memory(instance, times, age)
        busy = np.bincount(
            np.ceil(mine.at / self._step).astype(np.int64),
            weights=mine.values["inference"] * 0.6,
            minlength=len(times),
        ).cumsum()
        started = np.maximum(np.ceil(instance.started(times) / self._step).astype(np.int64), 0)
        known: dict[str, tuple[Mapping[str, tuple[str, ...]], Numbers]] = {
            "up": ({}, instance.up(times).astype(float)),
            "scrape_duration_seconds": ({}, 0.012 * _wobble(times)),
            "scrape_samples_scraped": ({}, 560 * ones),
            "scrape_samples_post_metric_relabeling": ({}, 560 * ones),
            "scrape_series_added": ({}, 0 * ones),
            "process_virtual_memory_bytes": ({}, memory * 2.5),
            "process_resident_memory_bytes": ({}, memory),
            "process_start_time_seconds": ({}, END - DAY + instance.started(times)),
            "process_cpu_seconds_total": ({}, busy - busy[started] + 0.03 * age),
            "process_open_fds": ({}, 24 + np.round(4 * _wobble(times))),
            "process_max_fds": ({}, 1024 * ones),
            "python_info": (
                {
                    "implementation": ("CPython",),
                    "major": ("3",),
                    "minor": ("11",),
                    "patchlevel": ("2",),
                    "version": ("3.11.2",),
                },
                ones,
            ),
            "python_gc_objects_collected_total": ({"generation": ("0", "1", "2")}, np.floor(age * 3)),
            "python_gc_objects_uncollectable_total": ({"generation": ("0", "1", "2")}, 0 * ones),
            "python_gc_collections_total": ({"generation": ("0", "1", "2")}, np.floor(age / 8)),
        }
        for name in (one.name for one in self._contract.external.values() if one.of_target):
            if name not in known:
                raise UnknownMetric(f"{name} is in the contract, but the story has no value for it: add one here.")
            sets, values = known[name]
            for combination in itertools.product(*sets.values()):
                yield name, dict(zip(sets, combination, strict=True)), values


def _observed(
    metric: Metric, mine: Requests, statuses: list[str]
) -> tuple[npt.NDArray[np.bool_], Numbers, Numbers | None]:
    """The requests that a metric counts, the value that it observes of each, and the weight of each (None: 1)."""
    # Varies sizes and short times without more random numbers.
    values = {**mine.values, "spread": 0.5 + (mine.at * 7919 % 1)}
    found, status = measure(metric), mine.codes["status"]
    counted = statuses if found.statuses is None else found.statuses
    chosen = np.isin(status, [statuses.index(name) for name in counted])
    # Metrics by API route do not count unknown paths.
    if metric.labels.get("route") == "api_route":
        chosen = chosen & (mine.codes["route"] < 2)
    return chosen, found.value(values), None if found.weight is None else found.weight(values)


def _wobble(times: Numbers) -> Numbers:
    """Values that vary around 1."""
    wobble: Numbers = 1 + 0.08 * np.sin(times / 611) + 0.05 * np.sin(times / 173)
    return wobble


def _own(instance: Instance) -> float:
    """A factor for each instance: without it, their lines would coincide while nothing happens."""
    return 1 + 0.15 * INSTANCES.index(instance)


def _memory(instance: Instance, times: Numbers, age: Numbers) -> Numbers:
    """Bytes. A process grows for an hour; the one that runs out of memory comes close to its limit before that."""
    share = 0.4 * _own(instance) + 0.06 * np.minimum(age / HOUR, 1) + 0.01 * _wobble(times)
    if len(instance.down) > 1:
        before = instance.down[0].begin - times
        share = np.where(
            (before > 0) & (before < 3 * HOUR), np.maximum(share, 0.97 - before / (3 * HOUR) * 0.5), share
        )
    return share * MEMORY_LIMIT


def text(series: Iterator[Series] | list[Series], times: list[float], chosen: slice) -> Iterator[str]:
    """OpenMetrics text of the scrapes in `chosen`, in chunks; `times` are in Unix seconds."""
    stamps = [f" {time:.3f}\n" for time in times[chosen]]
    for one in series:
        name = one.name + "{" + ",".join(f'{label}="{value}"' for label, value in one.labels.items()) + "} "
        values = one.values[chosen].tolist()
        yield "".join(
            [name + repr(value) + stamp for value, stamp in zip(values, stamps, strict=True) if value == value]
        )
    yield "# EOF\n"
