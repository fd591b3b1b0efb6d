"""Minutes at twice the capacity of the service: what do callers get, and do the metrics agree?"""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import psutil
from rich.console import Console

from benchmarks.scrape import Scrape, difference, scrape
from kronos_service.api.errors import TYPE_PREFIX, Kind, Kinds
from kronos_service.api.paths import BATCH_PATH, METRICS_PATH, READY_PATH, SINGLE_PATH
from proof.servers.background import background
from proof.servers.service import Service

_PATIENT, _GREEDY = "patient-0123456789abcdef", "greedy-0123456789abcdef"
_SETTINGS = {
    "api_keys": f"patient:{_PATIENT},greedy:{_GREEDY}",
    "queue_capacity": 64,
    "max_batch_items": 8,
    "log_level": "warning",
}
_GREEDY_SHARE = 0.6
_LIMIT_SHARE = 0.9
"""The rate limit, as a share of the capacity: the greedy client exceeds it, and the rest is still too much."""

_CAPACITY_SECONDS = 10
_CAPACITY_CALLERS = 4
_SLUGS = {kind.slug: kind for kind in vars(Kinds).values() if isinstance(kind, Kind)}
_MEMORY_GROWTH = 1.10
"""Allowed growth of memory from the second quarter to the last; the first quarter fills the caches."""


@dataclass
class _Seen:
    """What callers saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    probe_ms: list[float] = field(default_factory=list)
    scrape_ms: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run(console: Console, *, minutes: float) -> list[str]:
    """Overload the service for `minutes`; returns the faults."""
    with Service(_SETTINGS) as service:
        capacity = _capacity(service)
    console.print(f"[bold]Capacity[/bold]: {capacity:.1f} requests/s of {_CAPACITY_CALLERS} callers")
    limit = max(1, round(capacity * _LIMIT_SHARE))
    settings = _SETTINGS | {"rate_limit": f"{limit}/second"}
    with Service(settings) as service, httpx.Client(base_url=service.url, trust_env=False) as client:
        before = scrape(client)
        seen = _Seen()
        with _watched(service, seen):
            asyncio.run(_overload(service, 2 * capacity, minutes * 60, seen))
        after = scrape(client)
        service.process.check()
    counted = difference(before.by(*_BY_ROUTE), after.by(*_BY_ROUTE))
    _print(console, seen, capacity, minutes, limit)
    return [*dict.fromkeys(seen.faults), *_disagreements(seen, counted, before, after), *_growth(console, seen)]


_BY_ROUTE = ("kronos_requests_total", "route", "status")


def _capacity(service: Service) -> float:
    """Requests per second of a few callers that send the next request as soon as the last is answered."""
    end = time.perf_counter() + _CAPACITY_SECONDS
    headers = {"X-API-Key": _PATIENT}
    with (
        httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=60) as client,
        ThreadPoolExecutor(_CAPACITY_CALLERS) as threads,
    ):

        def call(number: int) -> int:
            dice, count = random.Random(number), 0  # noqa: S311 - the same requests in every run
            while time.perf_counter() < end:
                path, body = _some(dice)
                client.post(path, json=body).raise_for_status()
                count += 1
            return count

        return sum(threads.map(call, range(_CAPACITY_CALLERS))) / _CAPACITY_SECONDS


async def _overload(service: Service, rate: float, seconds: float, seen: _Seen) -> None:
    """Open loop: requests are sent at `rate`, no matter how long the answers take."""
    dice = random.Random(2)  # noqa: S311 - as above
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with (
        httpx.AsyncClient(base_url=service.url, limits=limits, trust_env=False, timeout=130) as client,
        asyncio.TaskGroup() as group,
    ):
        start = due = time.perf_counter()
        while due < start + seconds:
            due += dice.expovariate(rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            key = _GREEDY if dice.random() < _GREEDY_SHARE else _PATIENT
            group.create_task(_send(client, key, *_some(dice), seen))


async def _send(client: httpx.AsyncClient, key: str, path: str, body: dict[str, Any], seen: _Seen) -> None:
    start = time.perf_counter()
    try:
        answer = await client.post(path, json=body, headers={"X-API-Key": key})
    except httpx.HTTPError as error:
        seen.faults.append(f"no answer: {type(error).__name__}")
        return
    if answer.status_code == 200:
        seen.seconds.append(time.perf_counter() - start)
        seen.outcomes[f"{path} success"] += 1
        return
    kind = _SLUGS[answer.json()["type"].removeprefix(TYPE_PREFIX)]
    seen.outcomes[f"{path} {kind.outcome}"] += 1
    if answer.status_code not in {429, 503}:
        seen.faults.append(f"a {answer.status_code} ({kind.slug})")
    elif int(answer.headers.get("Retry-After", 0)) < 1:
        seen.faults.append(f"a {answer.status_code} without Retry-After")


def _watched(service: Service, seen: _Seen) -> AbstractContextManager[None]:
    """Probe and scrape the service, and read its memory; in a thread, because the load keeps our event loop busy."""
    process = psutil.Process(service.process.pid)

    def watch(stop: threading.Event) -> None:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
            while not stop.wait(0.2):
                for path, milliseconds in ((READY_PATH, seen.probe_ms), (METRICS_PATH, seen.scrape_ms)):
                    start = time.perf_counter()
                    client.get(path)
                    milliseconds.append((time.perf_counter() - start) * 1000)
                seen.memory.append(process.memory_info().rss)

    return background(watch)


def _some(dice: random.Random) -> tuple[str, dict[str, Any]]:
    """A path and a valid body; one in ten is a batch."""
    if dice.random() < 0.9:
        return SINGLE_PATH, _series(dice)
    return BATCH_PATH, {"items": [_series(dice) for _ in range(dice.randint(2, 8))]}


def _series(dice: random.Random) -> dict[str, Any]:
    count = dice.choice((30, 100, 200))
    start = datetime(2026, 1, 5)
    prices = [100 + dice.random() for _ in range(count)]
    return {
        "candles": [{"open": p, "high": p + 2, "low": p - 2, "close": p + 1, "volume": 1000} for p in prices],
        "timestamps": [f"{(start + timedelta(hours=row)).isoformat()}Z" for row in range(count)],
        "horizon": dice.choice((3, 12)),
    }


def _disagreements(seen: _Seen, counted: Mapping[str, int], before: Scrape, after: Scrape) -> list[str]:
    faults = []
    if counted != dict(sorted(seen.outcomes.items())):
        faults.append(f"callers saw {dict(sorted(seen.outcomes.items()))}, the metrics say {dict(counted)}")
    limited = sum(count for outcome, count in seen.outcomes.items() if outcome.endswith("rate_limited"))
    by_client = difference(
        before.by("kronos_rate_limited_total", "client"), after.by("kronos_rate_limited_total", "client")
    )
    if sum(by_client.values()) != limited:
        faults.append(f"{limited} answers were 429, but kronos_rate_limited_total says {by_client}")
    answered = sum(count for outcome, count in seen.outcomes.items() if outcome.endswith("success"))
    timed = after.total("kronos_request_duration_seconds_count", status="success")
    if int(timed) != answered:
        faults.append(f"{answered} forecasts, but {timed:.0f} in kronos_request_duration_seconds")
    if depth := after.total("kronos_queue_depth") + after.total("kronos_concurrent_requests"):
        faults.append(f"queue depth plus concurrent requests are {depth:.0f} after the last answer")
    return faults


def _growth(console: Console, seen: _Seen) -> list[str]:
    quarter = len(seen.memory) // 4
    early = statistics.median(seen.memory[quarter : 2 * quarter])
    late = statistics.median(seen.memory[-quarter:])
    console.print(f"memory: {early / 2**20:.0f} MiB in the second quarter, {late / 2**20:.0f} in the last")
    return [f"memory grew by {late / early - 1:.0%}"] if late > early * _MEMORY_GROWTH else []


def _print(console: Console, seen: _Seen, capacity: float, minutes: float, limit: int) -> None:
    total = sum(seen.outcomes.values())
    console.print(f"[bold]{2 * capacity:.1f} requests/s for {minutes:g} minutes[/bold], {total} requests")
    console.print(
        f"two clients, each limited to {limit}/s; one sends {_GREEDY_SHARE:.0%} of the requests; "
        f"the queue holds {_SETTINGS['queue_capacity']} series"
    )
    for outcome, count in sorted(seen.outcomes.items()):
        console.print(f"  {outcome}: {count} ({count / total:.0%})")
    done = sum(count for outcome, count in seen.outcomes.items() if outcome.endswith("success"))
    pace = done / minutes / 60
    console.print(f"answered with a forecast: {pace:.1f} requests/s, {pace / capacity:.2f} of the capacity")
    for name, values, unit in (
        ("their latency", seen.seconds, "s"),
        ("readiness probes", seen.probe_ms, "ms"),
        ("scrapes", seen.scrape_ms, "ms"),
    ):
        cuts = statistics.quantiles(values, n=100)
        console.print(f"{name}: p50 {cuts[49]:.3g} {unit}, p99 {cuts[98]:.3g} {unit}")
