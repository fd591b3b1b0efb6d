"""A minute of the real service under known traffic, with a real fault and a restart, watched by a real Prometheus.

Windows and intervals are shortened by the mixin's configuration only; compiled files are not edited.
"""

from __future__ import annotations

import contextlib
import datetime
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from kronos_mixin.drill.measures import BATCH, SINGLE, UNMATCHED
from kronos_mixin.jsonnet import Mixin
from kronos_mixin.verify.api import WaitError
from kronos_mixin.verify.panel_check import Span
from proof.servers.binaries import Tools
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service

WINDOW = 10
"""Seconds; the window of recorded rates. Scrapes and evaluations happen every second."""

SILENT = frozenset(
    {"kronos_device_memory_used_bytes", "kronos_device_memory_limit_bytes", "kronos_model_loads_total", "ALERTS"}
)
"""Series that have no data or never change: there is no GPU, every model load succeeds, and alerts take longer."""

_ROOM = 16 << 20
"""Bytes left for everything but the model; with less, the server could not even read a request."""

_KEY, _GREEDY_KEY = "a-key-of-the-test-desk", "a-key-of-the-greedy-one"
_MAX_SAMPLES = 256
_SETTINGS = {
    "drain_seconds": 0,
    "api_keys": f"desk:{_KEY},greedy:{_GREEDY_KEY}",
    "rate_limit": "20/second",
    "time_limit_seconds": 2,
    # Otherwise the work that is to time out would be refused.
    "max_model_seconds": 1_000_000,
    "batch_rows": 1,
    "queue_capacity": 64,
    "max_batch_items": 64,
    "max_samples": _MAX_SAMPLES,
    "max_body_bytes": 1 << 20,
}
_PROBLEMS = {"overloaded": "overloaded"}
_CODES = {
    200: "success",
    401: "unauthorized",
    413: "too_large",
    429: "rate_limited",
    503: "unavailable",
    504: "timeout",
    500: "error",
}

Sent = Counter[tuple[str, str]]


@dataclass
class Scene:
    """The servers, of which the last service still runs, and the requests sent to each, by route and status."""

    prometheus: Prometheus
    mixin: Mixin
    services: list[Service] = field(default_factory=list)
    lives: list[Sent] = field(default_factory=list)
    begin: float = 0.0
    end: float = 0.0

    @property
    def span(self) -> Span:
        """The time range of the scene; it ends a rate window after the last request."""
        return Span(self.begin, self.end, 1, 1)

    @property
    def sent(self) -> Sent:
        """All requests."""
        return sum(self.lives, Sent())


@contextlib.contextmanager
def play(tools: Tools, folder: Path) -> Iterator[Scene]:
    """Play the scene, and yield it while the servers still run. The mixin is compiled into `folder`.

    Raises ProcessError, WaitError or QueryError if something does not start, or if Prometheus counts other requests
    than were sent.
    """
    with contextlib.ExitStack() as running:
        service = running.enter_context(Service(_SETTINGS))
        mixin = compile_into(folder, _knobs(service.port))
        prometheus = running.enter_context(Prometheus(tools, folder / "prometheus.yml"))
        prometheus.wait_for('up{job="kronos-api"} == 1', timeout=30)
        scene = Scene(prometheus, mixin, [service], begin=time.time())
        time.sleep(2)  # An increase needs two scrapes.
        first = running.enter_context(_Traffic(service))
        first.steady(5)
        # Before the heavy batches: the process keeps the memory that it takes for them.
        first.out_of_memory()
        first.burst()
        first.slow()
        first.steady(2)
        scene.lives.append(_seen(prometheus, first.sent))
        service.process.stop()
        again = running.enter_context(Service(_SETTINGS, port=service.port))
        scene.services.append(again)
        time.sleep(2)
        second = running.enter_context(_Traffic(again))
        second.steady(4)
        scene.lives.append(_seen(prometheus, second.sent))
        time.sleep(WINDOW)  # Until the last request has left the rate window.
        scene.end = time.time()
        yield scene


def series(length: int, horizon: int, samples: int = 1) -> dict[str, Any]:
    """The body of a request with `length` made-up candles."""
    candles = [
        {"open": 10 + n % 3, "high": 13 + n % 3, "low": 9, "close": 11, "volume": 100 + n} for n in range(length)
    ]
    start = datetime.datetime(2026, 1, 5, 9, tzinfo=datetime.UTC)
    timestamps = [(start + datetime.timedelta(minutes=n)).isoformat() for n in range(length)]
    return {
        "candles": candles,
        "timestamps": timestamps,
        "horizon": horizon,
        "overrides": {"sample_count": samples},
    }


class _Traffic:
    """Sends requests to one start of the service; `sent` counts them by route and status."""

    def __init__(self, service: Service) -> None:
        self.sent: Sent = Sent()
        self._service = service
        self._client = httpx.Client(base_url=service.url, trust_env=False)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def steady(self, seconds: float) -> None:
        """Single and batch requests of several lengths, some of which are refused."""
        batch = {"items": [series(100, 5), series(40, 8)]}
        kinds: list[tuple[str, Mapping[str, Any], str]] = [
            (SINGLE, series(30, 3), _KEY),
            (SINGLE, series(200, 10), _KEY),
            (SINGLE, series(400, 3), _KEY),
            (BATCH, batch, _KEY),
            (SINGLE, series(30, -1), _KEY),
            ("/v1/no/such/path", {}, _KEY),
            (SINGLE, series(30, 3), "a-wrong-key"),
            (BATCH, {"items": [{"padding": "x" * (1 << 20)}]}, _KEY),
        ]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for path, body, key in kinds:
                self._send(path, body, key)
            time.sleep(0.6)  # Well below the rate limit.

    def burst(self) -> None:
        """A client that ignores its rate limit."""
        with ThreadPoolExecutor(8) as callers:
            for _ in range(160):
                callers.submit(self._send, SINGLE, series(10, 1), _GREEDY_KEY)

    def slow(self) -> None:
        """More work at once than the time limit and the queue allow, and callers that give up."""
        # Past the context, every candle of every sample reads the whole window anew: no machine does this in time.
        heavy = {"items": [series(400, 512, 4)] * 16}
        with ThreadPoolExecutor(8) as callers:
            for _ in range(6):
                callers.submit(self._send, BATCH, heavy, _KEY)
            for _ in range(2):
                callers.submit(self._send, SINGLE, series(400, 512), _KEY, 0.5)

    def out_of_memory(self) -> None:
        """Limit the memory of the process until some requests have failed for lack of it."""
        pid = self._service.process.pid or 0
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
        soft, hard = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + _ROOM, hard))
        try:
            # Ask for more each time: memory that the allocator holds may be enough for the first requests.
            for samples in range(32, _MAX_SAMPLES, 16):
                self._send(SINGLE, series(1500, 2, samples), _KEY)
                if self.sent[SINGLE, "error"] >= 5:
                    return
        finally:
            resource.prlimit(pid, resource.RLIMIT_AS, (soft, hard))

    def _send(self, path: str, body: Mapping[str, Any], key: str, patience: float = 60) -> None:
        route = path if path in (SINGLE, BATCH) else UNMATCHED
        headers = {"Authorization": f"Bearer {key}"}
        try:
            status = _status(self._client.post(path, json=dict(body), headers=headers, timeout=patience))
        except httpx.TimeoutException:
            status = "cancelled"
        with self._lock:
            self.sent[route, status] += 1


def _status(answer: httpx.Response) -> str:
    """The contract's status of this answer."""
    problem = "" if answer.is_success else answer.json()["type"].rpartition(":")[2]
    return _PROBLEMS.get(problem) or _CODES.get(answer.status_code, "invalid")


def _seen(prometheus: Prometheus, sent: Sent) -> Sent:
    """Wait until Prometheus has counted exactly what was sent. Raises WaitError."""
    try:
        prometheus.wait_for(
            "kronos_requests_total > 0",
            lambda found: {(s.labels["route"], s.labels["status"]): s.value for s in found} == sent,
            timeout=10,
        )
    except WaitError as error:
        raise WaitError(f"{error}\nThese were sent: {dict(sent)}") from error
    return sent


def _knobs(port: int) -> dict[str, Any]:
    """Knobs with short windows and intervals."""
    return {
        "rateWindow": f"{WINDOW}s",
        "evaluationInterval": "1s",
        "slowEvaluationInterval": "1s",
        "scrape": {"targets": [f"127.0.0.1:{port}"], "interval": "1s", "timeout": "1s"},
        "requests": {"sparseWindow": "1m", "guardWindow": "2m"},
    }
