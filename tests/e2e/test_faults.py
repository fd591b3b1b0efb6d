"""Every alert is seen to fire on a real fault of a real service, and to resolve when the fault is mended.

Each fault is a job of its own in one Prometheus. Minutes become seconds through the mixin's configuration alone. Only
KronosTrafficDropped is not here: it compares with last week.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_service.forecaster import write_demo_checkpoint
from proof.scene.live import series
from proof.scene.story import SINGLE
from proof.servers import binaries
from proof.servers.background import background
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service

Act = Callable[[], None]


@dataclass
class Fault:
    """A job: its services, what breaks it, what mends it, and which alerts must fire in between.

    Others may fire as well: an overloaded service is slow, too.
    """

    job: str
    alerts: set[str]
    services: list[Service]
    breaks: Act = lambda: None
    mends: Act = lambda: None
    # What is running for as long as the fault lasts.
    during: list[AbstractContextManager[None]] = field(default_factory=list)


QUICK, HEAVY = series(20, 1), series(400, 60, 8)


def load(service: Service, body: dict[str, object], clients: int, pause: float) -> AbstractContextManager[None]:
    """So many clients, each of which sends again after a pause (seconds) whatever the answer was."""
    content = json.dumps(body).encode()

    def send(stop: threading.Event) -> None:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
            while not stop.wait(pause):
                with contextlib.suppress(httpx.HTTPError):
                    client.post(SINGLE, content=content, headers={"Content-Type": "application/json"})

    return background(send, clients)


@contextlib.contextmanager
def stranger_instead_of(service: Service) -> Iterator[None]:
    """Another program on the port of the service."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(b"something_else 1\n")

        def log_message(self, *_: object) -> None:
            pass

    service.stop()
    with ThreadingHTTPServer(("127.0.0.1", service.port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


class Faults:
    """All faults, their services, and the files in which Prometheus finds the targets of each job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model, tokenizer = write_demo_checkpoint(folder / "checkpoint")
        self.late, other = folder / "late", folder / "another-model"
        shutil.copytree(self.model, other)
        at_once = {"drain_seconds": 0}
        checkpoint = {"tokenizer": tokenizer, "load_retry_seconds": 0.5} | at_once

        def service(**settings: object) -> Service:
            return Service(at_once | settings)

        def without_model() -> Service:
            return Service(checkpoint | {"model": self.late}, ready=False)

        down, half, other_half, blocked, hungry, restarting = (service() for _ in range(6))
        overloaded = service(queue_capacity=2, max_batch_items=1)
        slow, hasty, greedy = service(), service(time_limit_seconds=0.05), service(rate_limit="1/hour")
        skewed = Service(checkpoint | {"model": other})
        usurped = service()
        self.hungry = hungry
        self.all = [
            Fault("down", {"KronosServiceDown"}, [down], down.stop, down.restart),
            Fault("one-down", {"KronosTargetDown"}, [half, other_half], half.stop, half.restart),
            Fault("gone", {"KronosTargetMissing"}, [], mends=lambda: self.find("gone", [other_half])),
            Fault("no-model", {"KronosModelNotReady"}, [without_model()], mends=self.arrive),
            Fault("half-a-model", {"KronosInstanceNotReady"}, [service(), without_model()], mends=self.arrive),
            Fault(
                "overloaded",
                {"KronosHighErrorRate", "KronosErrorBudgetBurn", "KronosQueueSaturated"},
                [overloaded],
                during=[load(overloaded, HEAVY, 6, 0.05)],
            ),
            Fault(
                "slow",
                {"KronosHighLatency", "KronosSlowInference", "KronosLatencyBudgetBurn"},
                [slow],
                during=[load(slow, HEAVY, 1, 0.5)],
            ),
            Fault("timeouts", {"KronosHighTimeoutRate"}, [hasty], during=[load(hasty, HEAVY, 1, 0.5)]),
            Fault("greedy", {"KronosExcessiveRateLimiting"}, [greedy], during=[load(greedy, QUICK, 1, 0.2)]),
            Fault("blocked", {"KronosEventLoopBlocked"}, [blocked], lambda: freeze(blocked)),
            Fault(
                "restarting",
                {"KronosRestarting", "KronosRestartingEverywhere"},
                [restarting],
                lambda: [restarting.restart(), time.sleep(2), restarting.restart()],
            ),
            Fault("skew", {"KronosVersionSkew"}, [service(), skewed], mends=skewed.stop),
            # The first forecasts of many samples take memory that the process keeps.
            Fault(
                "hungry",
                {"KronosHighMemoryUsage"},
                [hungry],
                during=[load(hungry, HEAVY, 2, 0.1)],
                mends=hungry.restart,
            ),
            Fault(
                "usurped",
                {"KronosMetricsMissing", "KronosRulesMissing"},
                [usurped],
                during=[stranger_instead_of(usurped)],
                mends=usurped.restart,
            ),
        ]

    def arrive(self) -> None:
        """The model that was not there."""
        shutil.copytree(self.model, self.late, dirs_exist_ok=True)

    def find(self, job: str, services: list[Service]) -> None:
        """What service discovery finds for a job from now on."""
        targets = [f"127.0.0.1:{service.port}" for service in services]
        (self.folder / f"{job}.json").write_text(json.dumps([{"targets": targets}]))

    def scrape_configs(self) -> list[dict[str, object]]:
        return [
            {
                "job_name": fault.job,
                "metrics_path": load_contract().metrics_path,
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "file_sd_configs": [{"files": [str(self.folder / f"{fault.job}.json")], "refresh_interval": "1s"}],
            }
            for fault in self.all
        ]


def freeze(service: Service) -> None:
    service.process.send(signal.SIGSTOP)
    time.sleep(2.5)
    service.process.send(signal.SIGCONT)


def knobs(faults: Faults) -> dict[str, object]:
    """The mixin for all jobs at once, at the pace of a test."""
    with httpx.Client(trust_env=False) as client:
        scrape = client.get(f"{faults.hungry.url}/v1/metrics").text
    values = dict(line.rsplit(" ", 1) for line in scrape.splitlines() if not line.startswith("#"))
    used = float(values["process_resident_memory_bytes"]) / float(values["kronos_memory_limit_bytes"])
    at_once = {"keepFiringFor": "0s"}
    # The `for` of budget burns stands beside their windows.
    paces = {
        name: at_once if name.endswith("Burn") else at_once | {"for": "2s"}
        for name in evaluate(mixin_path()).config["alerts"]
    }
    own = {
        "KronosServiceDown": {"window": "10s"},
        "KronosTargetDown": {"window": "10s"},
        "KronosQueueSaturated": {"window": "10s", "threshold": "0.5"},
        "KronosRestarting": {"window": "40s", "threshold": "2"},
        # The host has far more memory than the service can take: the limit comes to the service instead.
        "KronosHighMemoryUsage": {"threshold": f"{used * 1.04:.6f}"},
    }
    return {
        "selector": 'job!=""',
        "expectedTargets": [{"job": fault.job} for fault in faults.all],
        "rateWindow": "15s",
        "evaluationInterval": "1s",
        "requests": {"sparseWindow": "30s", "guardWindow": "1m"},
        "objectives": {
            "latency": {"seconds": {SINGLE: "0.1"}},
            "burn": [{"long": "30s", "short": "15s", "factor": "2", "for": "2s", "severity": "critical"}],
        },
        "alerts": {name: pace | own.get(name, {}) for name, pace in paces.items()},
    }


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus that has watched every service, after all of them were broken."""
    folder = tmp_path_factory.mktemp("faults")
    faults = Faults(folder)
    with contextlib.ExitStack() as running:
        with ThreadPoolExecutor() as pool:
            services = [service for fault in faults.all for service in fault.services]
            for service in pool.map(Service.__enter__, services):
                running.push(service)
        for fault in faults.all:
            faults.find(fault.job, fault.services)
        compile_into(folder, knobs(faults), faults.scrape_configs())
        server = running.enter_context(Prometheus(binaries.newest(), folder / "prometheus.yml"))
        server.wait_for("count(up == 1)", lambda found: bool(found) and found[0].value == len(services))
        during = {fault.job: running.enter_context(contextlib.ExitStack()) for fault in faults.all}
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda fault: fault.breaks(), faults.all))
        for fault in faults.all:
            for load in fault.during:
                during[fault.job].enter_context(load)
        server.faults, server.during = {fault.job: fault for fault in faults.all}, during
        yield server


JOBS = [
    "down", "one-down", "gone", "no-model", "half-a-model", "overloaded", "slow", "timeouts", "greedy", "blocked",
    "restarting", "skew", "hungry", "usurped",
]  # fmt: skip


@pytest.mark.parametrize("job", JOBS)
def test_fires(prometheus, job):
    wanted = prometheus.faults[job].alerts
    prometheus.wait_for(
        # A freeze or a restart is over soon, perhaps before its turn has come here.
        f'last_over_time(ALERTS{{alertstate="firing", job="{job}"}}[15m])',
        lambda found: {sample.labels["alertname"] for sample in found} >= wanted,
        timeout=120,
    )


@pytest.fixture(scope="module")
def mended(prometheus):
    for job, fault in prometheus.faults.items():
        prometheus.during[job].close()
        fault.mends()
    return prometheus


@pytest.mark.parametrize("job", JOBS)
def test_resolves(mended, job):
    names = "|".join(mended.faults[job].alerts)
    mended.wait_for(
        f'ALERTS{{alertstate="firing", job="{job}", alertname=~"{names}"}}', lambda found: not found, timeout=150
    )


def test_every_alert_has_a_fault(prometheus):
    alerts = set(evaluate(mixin_path()).config["alerts"]) - {"KronosTrafficDropped"}
    assert {name for fault in prometheus.faults.values() for name in fault.alerts} == alerts
    assert list(prometheus.faults) == JOBS
