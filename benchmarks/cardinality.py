"""Size and duration of a scrape after callers have sent arbitrary values."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import string
import time
from collections import Counter

import httpx
from rich.console import Console

from benchmarks.load import request, send_all
from benchmarks.scrape import Scrape, difference, scrape
from kronos_mixin.verify.failures import MOST_SERIES
from kronos_service.api.paths import BATCH_PATH, METRICS_PATH, SINGLE_PATH, UNCOUNTED_PATHS
from proof.servers.service import Service

_CLIENTS = {f"client-{number}": f"{number:02}-0123456789abcdef" for number in range(16)}
_METHODS = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "PURGE", "MKCOL", "REPORT", "SEARCH")
_UNKNOWN_METHODS = ("FOO", "BREW", "GETT")
_SCRAPES = 50


def run(console: Console, *, requests: int) -> list[str]:
    """Send `requests` random requests; returns what went wrong."""
    keys = ",".join(f"{name}:{key}" for name, key in _CLIENTS.items())
    with (
        Service({"api_keys": keys, "rate_limit": "60/second", "log_level": "warning"}) as service,
        httpx.Client(base_url=service.url, trust_env=False) as client,
    ):
        first, first_times = scrape(client), _times(client)
        wild = _Wild(service.port)
        codes = asyncio.run(send_all(service.port, wild.request, requests, 8))
        last, last_times = scrape(client), _times(client)
        service.process.check()
    console.print(f"[bold]{requests} requests with random paths, methods, headers, clients and ids[/bold]")
    console.print(f"answers: {_listed(codes)}")
    console.print(f"series: {len(first.values)} before, {len(last.values)} after, at most {MOST_SERIES} allowed")
    console.print(f"scrape: {first.size} bytes before, {last.size} after")
    console.print(
        f"time of a scrape over HTTP, median of {_SCRAPES}: {first_times:.1f} ms before, {last_times:.1f} after"
    )
    return _faults(first, last, codes, wild.uncounted)


def _faults(first: Scrape, last: Scrape, codes: Counter[int], uncounted: int) -> list[str]:
    faults = []
    if len(last.values) > MOST_SERIES:
        faults.append(f"{len(last.values)} series")
    if added := last.values.keys() - first.values.keys():
        faults.append(f"{len(added)} series were added, such as {next(iter(added))}")
    counted = int(last.total("kronos_requests_total") - first.total("kronos_requests_total"))
    if counted != codes.total() - uncounted:
        by = difference(first.by("kronos_requests_total", "status"), last.by("kronos_requests_total", "status"))
        faults.append(f"{codes.total() - uncounted} requests were sent, {counted} counted: {by}, {dict(codes)}")
    if crashes := [code for code in codes if code >= 500]:
        faults.append(f"some answers were {crashes}")
    return faults


class _Wild:
    """Makes random requests, and knows how many of them should not be counted."""

    def __init__(self, port: int) -> None:
        self.uncounted = 0
        self._port = port
        self._random = random.Random(7)  # noqa: S311 - the same requests in every run

    def request(self, number: int) -> bytes:
        """The next request, as bytes."""
        dice = self._random
        method = dice.choice(_METHODS) if dice.random() < 0.5 else "POST"
        path = dice.choice((SINGLE_PATH, BATCH_PATH, f"/{self._word(30)}", f"{SINGLE_PATH}/{self._word(5)}"))
        if dice.random() < 0.03:
            path = dice.choice(sorted(UNCOUNTED_PATHS))
            self.uncounted += 1
        elif dice.random() < 0.01:
            # The server's parser rejects these by itself; they must be counted too.
            method = dice.choice(_UNKNOWN_METHODS)
        headers = [
            ("X-Request-ID", dice.choice((str(number), self._word(3000), "a b", "{}"))),
            ("X-API-Key", dice.choice((*_CLIENTS.values(), *_CLIENTS.values(), self._word(20)))),
            ("User-Agent", self._word(40)),
            ("X-Client", self._word(12)),
            ("X-Forwarded-For", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"),
            (f"X-{self._word(8)}", self._word(20)),
        ]
        body = json.dumps({"series_id": self._word(20), "candles": [], self._word(5): number}).encode()
        return request(method, path, body if method == "POST" else b"", port=self._port, headers=headers)

    def _word(self, length: int) -> str:
        return "".join(self._random.choices(string.ascii_letters + string.digits + "-", k=length))


def _times(client: httpx.Client) -> float:
    times = []
    for _ in range(_SCRAPES):
        start = time.perf_counter()
        client.get(METRICS_PATH)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def _listed(codes: Counter[int]) -> str:
    return ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
