"""A Kronos service on paper: requests in, the series out that Prometheus would have scraped.

Alerts are tested against what the service would expose, every child of the contract at 0 from its start, and not
against series made up to suit a rule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kronos_mixin.contract import load_contract

SINGLE, BATCH = "/v1/predict/single", "/v1/predict/batch"
STEP = 15  # seconds between scrapes
MINUTE, HOUR = 60, 3600

CONTRACT = load_contract()


@dataclass(frozen=True)
class Request:
    """One request: when it ended (seconds from the start), and how."""

    at: float
    status: str = "success"
    route: str = SINGLE
    seconds: float = 0.1
    client: str = "anonymous"


def every(
    period: float,
    *,
    start: float = 1,
    stop: float = 2 * HOUR,
    status: str = "success",
    route: str = SINGLE,
    seconds: float = 0.1,
) -> list[Request]:
    """Requests at a steady pace, `period` seconds apart."""
    count = int((stop - start) / period) + 1
    return [Request(start + i * period, status, route, seconds) for i in range(count)]


@dataclass
class Instance:
    """One process of the service, scraped from `start` to `stop` (seconds) and gone outside."""

    name: str = "a:8000"
    requests: list[Request] = field(default_factory=list)
    start: float = 0
    stop: float = float("inf")
    memory: float = 0.5
    memory_limit: float = 1000.0
    labels: dict[str, str] = field(default_factory=dict)
    # While it is down, Prometheus still knows the target: `up` is 0 and nothing else is there.
    down: tuple[tuple[float, float], ...] = ()

    def series(self, end: float) -> Iterator[tuple[str, dict[str, str], list[float | None]]]:
        """Name, labels and one value per scrape; None where the scrape found nothing."""
        times = [step * STEP for step in range(int(end / STEP) + 1)]
        known = [self.start <= time < self.stop for time in times]
        alive = [here and not self._is_down(time) for here, time in zip(known, times, strict=True)]
        yield "up", {}, [float(up) if here else None for here, up in zip(known, alive, strict=True)]
        for name, labels, events in self._counters():
            yield name, labels, self._count(times, alive, sorted(events))
        for name, labels, value in self._gauges():
            yield name, labels, [value if up else None for up in alive]

    def _is_down(self, time: float) -> bool:
        return any(begin <= time < stop for begin, stop in self.down)

    def _count(self, times: list[float], alive: list[bool], events: list[float]) -> list[float | None]:
        """A counter's value at each scrape; a process that comes back starts at 0."""
        values: list[float | None] = []
        born = 0
        for index, time in enumerate(times):
            if alive[index] and index and not alive[index - 1]:
                born = bisect_right(events, times[index - 1])
            values.append(float(bisect_right(events, time) - born) if alive[index] else None)
        return values

    def _counters(self) -> Iterator[tuple[str, dict[str, str], list[float]]]:
        def times(**wanted: str) -> list[float]:
            return [r.at for r in self.requests if all(getattr(r, key) == value for key, value in wanted.items())]

        for route in CONTRACT.label_values["route"]:
            for status in CONTRACT.label_values["status"]:
                yield "kronos_requests_total", {"route": route, "status": status}, times(route=route, status=status)
        buckets = [*CONTRACT.metrics["kronos_request_duration_seconds"].buckets, "+Inf"]
        for route in CONTRACT.label_values["api_route"]:
            for status in CONTRACT.label_values["admitted_status"]:
                for le in buckets:
                    yield (
                        "kronos_request_duration_seconds_bucket",
                        {"route": route, "status": status, "le": le},
                        [
                            r.at
                            for r in self.requests
                            if (r.route, r.status) == (route, status) and r.seconds <= float(le)
                        ],
                    )
        for client in ("anonymous", "greedy"):
            yield "kronos_rate_limited_total", {"client": client}, times(status="rate_limited", client=client)

    def _gauges(self) -> Iterator[tuple[str, dict[str, str], float]]:
        yield "process_resident_memory_bytes", {}, self.memory * 1000
        yield "kronos_memory_limit_bytes", {}, self.memory_limit


def input_series(instances: Iterable[Instance], end: float) -> list[dict[str, str]]:
    """promtool's `input_series`, up to `end` seconds."""
    return [
        {
            "series": _selector(name, {"job": "kronos-api", "instance": i.name} | i.labels | labels),
            "values": _values(values),
        }
        for i in instances
        for name, labels, values in i.series(end)
    ]


def _selector(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ", ".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def _values(values: list[float | None]) -> str:
    """Run lengths, as promtool writes them: `3x40` is 3 forty-one times, `_x9` nothing nine times."""
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
            words.append(f"{value:g}x{count - 1}" if count > 1 else f"{value:g}")
        before = value
    return " ".join(words)
