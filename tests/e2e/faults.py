"""Real faults of real services, and the alerts that tell of them.

A fault is a generator in three acts, and its job in Prometheus has its name: it starts its services, yields, breaks
something, yields, and mends it. Others than its own alerts may fire as well: an overloaded service is slow, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from kronos_mixin.drill.measures import BATCH, SINGLE
from kronos_service.forecaster import DEMO_MODEL, DEMO_TOKENIZER
from proof.scene.live import series
from proof.servers.background import background
from proof.servers.service import Service

PROGRAM = ("-m", "kronos_service")
QUICK, LONG = series(20, 1), series(200, 40)


class Stage:
    """What the faults share: a folder, and a service that is well all the time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.well = Service()

    def __enter__(self) -> Stage:
        self.well.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.well.__exit__(None, None, None)


@dataclass
class Job:
    """One scrape job, and the targets that service discovery finds for it."""

    name: str
    stage: Stage
    knobs: dict[str, Mapping[str, str]]
    targets: list[str] = field(default_factory=list)
    running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def service(
        self, *, ready: bool = True, program: Sequence[str] = PROGRAM, log: Path | None = None, **settings: object
    ) -> Service:
        """Start a service of this job."""
        given = {"drain_seconds": 0} | settings
        service = self.running.enter_context(Service(given, ready=ready, program=program, log=log))
        self.find(service.port)
        return service

    def with_model(self, model: Path, **knobs: Any) -> Service:
        return self.service(model=model, tokenizer=DEMO_TOKENIZER, load_retry_seconds=0.5, **knobs)

    def find(self, port: int) -> None:
        """Let service discovery find what listens on a port."""
        self.targets.append(f"127.0.0.1:{port}")
        self.label()

    def label(self, **labels: str) -> None:
        """Let service discovery give these labels to all targets."""
        self.file.write_text(json.dumps([{"targets": self.targets, "labels": labels}]))

    @property
    def file(self) -> Path:
        return self.stage.folder / f"{self.name}.json"


@dataclass(frozen=True)
class Fault:
    """The acts of a fault; its alerts, each with the knobs that let it fire within a test."""

    act: Callable[[Job], Iterator[None]]
    alerts: Mapping[str, Mapping[str, str]]


FAULTS: dict[str, Fault] = {}


def fault(**alerts: Mapping[str, str]) -> Callable[[Callable[[Job], Iterator[None]]], None]:
    """Enter a fault into the table, with its alerts and their knobs."""

    def enter(act: Callable[[Job], Iterator[None]]) -> None:
        FAULTS[act.__name__.replace("_", "-")] = Fault(act, alerts)

    return enter


# Is the service there?


@fault(KronosServiceDown={"window": "10s", "threshold": "0.4"})
def down(job: Job) -> Iterator[None]:
    service = job.service()
    yield
    service.stop()
    yield
    service.restart()


@fault(KronosTargetDown={"window": "10s"})
def one_of_two_down(job: Job) -> Iterator[None]:
    job.find(job.stage.well.port)
    service = job.service()
    yield
    service.stop()
    yield
    service.restart()


@fault(KronosTargetMissing={})
def lost_by_discovery(job: Job) -> Iterator[None]:
    yield
    yield
    job.find(job.stage.well.port)


@fault(KronosModelNotReady={})
def no_model(job: Job) -> Iterator[None]:
    later = job.stage.folder / "later"
    job.with_model(later, ready=False)
    yield
    yield
    shutil.copytree(DEMO_MODEL, later)


@fault(KronosInstanceNotReady={})
def one_of_two_without_model(job: Job) -> Iterator[None]:
    job.find(job.stage.well.port)
    later = job.stage.folder / "later-too"
    job.with_model(later, ready=False)
    yield
    yield
    shutil.copytree(DEMO_MODEL, later)


@fault(KronosModelStuck={"threshold": "2"})
def stuck_model(job: Job) -> Iterator[None]:
    sick = job.stage.folder / "sick"
    service = job.service(program=(str(Path(__file__).with_name("sick.py")), str(sick)), stuck_seconds=2)
    yield
    sick.write_text("hang")
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(f"{service.url}{SINGLE}", json=QUICK, trust_env=False, timeout=1)
    yield
    sick.unlink()


# Do requests end as they should, in time, and who is turned away?


@fault(KronosHighErrorRate={}, KronosErrorBudgetBurn={}, KronosQueueSaturated={"window": "10s", "threshold": "0.5"})
def overloaded(job: Job) -> Iterator[None]:
    service = job.service(queue_capacity=2, max_batch_items=1, batch_rows=1)
    yield
    with load(service, LONG, 6, 0.05):
        yield


@fault(KronosHighLatency={}, KronosSlowInference={}, KronosLatencyBudgetBurn={})
def slow(job: Job) -> Iterator[None]:
    service = job.service()
    yield
    with load(service, LONG, 2, 0.5):
        yield


@fault(KronosHighTimeoutRate={})
def hasty(job: Job) -> Iterator[None]:
    service = job.service(time_limit_seconds=0.02, max_model_seconds=60)
    yield
    with load(service, LONG, 2, 0.5):
        yield


@fault(KronosNothingSucceeds={"window": "15s"})
def misunderstood(job: Job) -> Iterator[None]:
    service = job.service()
    yield
    # A counter that began before the first scrape has not increased.
    with load(service, QUICK, 1, 0.5):
        time.sleep(5)
    with load(service, {"a": "release that does not fit"}, 1, 0.2):
        yield
    with load(service, QUICK, 1, 0.5):
        time.sleep(2)


@fault(KronosExcessiveRateLimiting={"threshold": "0.1"})
def greedy(job: Job) -> Iterator[None]:
    service = job.service(rate_limit="1/hour")
    yield
    with load(service, QUICK, 1, 0.2):
        yield


# Does the process have what it needs?


@fault(KronosEventLoopBlocked={})
def frozen(job: Job) -> Iterator[None]:
    service = job.service()
    yield
    service.process.send(signal.SIGSTOP)
    time.sleep(2.5)
    service.process.send(signal.SIGCONT)
    yield


@fault(KronosLogLinesLost={"window": "30s"})
def unread(job: Job) -> Iterator[None]:
    log = job.stage.folder / "unread-log"
    os.mkfifo(log)
    # Open for both, so that the service has a reader, which reads nothing.
    with os.fdopen(os.open(log, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as reader:
        service = job.service(log=log, log_rejections=1_000_000)
        yield
        with httpx.Client(base_url=service.url, trust_env=False) as client:
            while "kronos_log_lines_lost_total 0.0" in client.get("/v1/metrics").text:
                for _ in range(100):
                    client.get("/" + 128 * "%F0%9F%98%80")  # 2 kB in the log
        yield
        reader.read(1 << 20)


@fault(KronosRestarting={"window": "1m", "threshold": "2"}, KronosRestartingEverywhere={"window": "1m"})
def crash_loop(job: Job) -> Iterator[None]:
    service = job.service()
    yield

    def restart(stop: threading.Event) -> None:
        while not stop.wait(5):
            service.restart()

    with background(restart):
        yield


@fault(KronosHighMemoryUsage={})
def hungry(job: Job) -> Iterator[None]:
    service = job.service()
    # The host has far more memory than the service can take: the limit comes to the service instead.
    samples = httpx.get(f"{service.url}/v1/metrics", trust_env=False).text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in samples if not line.startswith("#"))
    used = float(values["process_resident_memory_bytes"]) / float(values["kronos_memory_limit_bytes"])
    job.knobs["KronosHighMemoryUsage"] = {"threshold": f"{used * 1.02:.6f}"}
    yield
    # Forecasts of many samples take memory that the process keeps.
    for _ in range(2):
        post(service, {"items": 8 * [series(400, 10, 32)]}, BATCH).raise_for_status()
    yield
    service.restart()


# Can this monitoring be trusted?


@fault(KronosMetricsMissing={}, KronosRulesMissing={})
def usurped(job: Job) -> Iterator[None]:
    service = job.service()
    yield
    service.stop()
    with answering(lambda: b"something_else 1\n", service.port):
        yield
    service.restart()


@fault(KronosLabelsTaken={})
def labelled(job: Job) -> Iterator[None]:
    job.service()
    yield
    job.label(stage="production")
    yield
    job.label()


@fault(KronosHistogramsMissing={})
def buckets_dropped(job: Job) -> Iterator[None]:
    service, dropping = job.stage.well, threading.Event()

    def relay() -> bytes:
        scraped = httpx.get(f"{service.url}/v1/metrics", trust_env=False).content.splitlines(keepends=True)
        return b"".join(line for line in scraped if not (dropping.is_set() and b"_bucket{" in line))

    with load(service, QUICK, clients=1, pause=0.5), answering(relay) as port:
        job.find(port)
        yield
        dropping.set()
        yield
        dropping.clear()
        yield


@fault(KronosVersionSkew={})
def two_models(job: Job) -> Iterator[None]:
    job.find(job.stage.well.port)
    other = shutil.copytree(DEMO_MODEL, job.stage.folder / "another-model")
    service = job.with_model(other)
    yield
    yield
    service.stop()


def post(service: Service, body: dict[str, Any], route: str = SINGLE) -> httpx.Response:
    return httpx.post(f"{service.url}{route}", json=body, trust_env=False, timeout=60)


def load(
    service: Service, body: dict[str, Any], clients: int, pause: float
) -> contextlib.AbstractContextManager[None]:
    """So many clients, each of which asks again `pause` seconds after an answer, whatever it was."""

    def send(stop: threading.Event) -> None:
        while not stop.wait(pause):
            with contextlib.suppress(httpx.HTTPError):
                post(service, body)

    return background(send, clients)


@contextlib.contextmanager
def answering(body: Callable[[], bytes], port: int = 0) -> Iterator[int]:
    """Another program, on a port if one is given; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):  # Prometheus waits a second, and no longer.
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
