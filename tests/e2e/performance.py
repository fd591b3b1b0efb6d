"""All faults at once, each as a job of its own in one Prometheus: first all is well, then broken, then mended.

Minutes become seconds through the mixin's configuration alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import yaml

from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.drill.measures import SINGLE
from kronos_mixin.jsonnet import evaluate
from proof.servers.binaries import Tools
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from tests.e2e.faults import FAULTS, Job, Stage

# One of them compares with last week, one needs a GPU, one a centre that other servers send to, and two Ray Serve.
ALERTS = set(evaluate(mixin_path()).config["alerts"])
WITHOUT_A_FAULT = {
    "KronosTrafficDropped",
    "KronosHighGpuMemoryUsage",
    "KronosClusterSilent",
    "KronosRayQueue",
    "KronosRayRequestsLost",
}
PATIENCE = 300  # seconds, on the slowest of machines


class Performance:
    """A Prometheus that has seen every service well, after all of them were broken; a context manager.

    `alerting` is its configuration of Alertmanagers. `broken` and `mended` are when, in seconds of the clock, that
    began for each job.
    """

    def __init__(self, tools: Tools, folder: Path, alerting: Mapping[str, Any] | None = None) -> None:
        self._tools, self._folder, self._alerting = tools, folder, alerting
        self._running = contextlib.ExitStack()
        self._acts: dict[str, Any] = {}
        self.broken: dict[str, float] = {}
        self.mended: dict[str, float] = {}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as running:
            stage = running.enter_context(Stage(self._folder))
            jobs = [Job(name, stage, dict(fault.alerts)) for name, fault in FAULTS.items()]
            for job in jobs:
                running.push(job.running)
                self._acts[job.name] = running.enter_context(contextlib.closing(FAULTS[job.name].act(job)))
            self._go_on({})
            compile_into(stage.folder, knobs(jobs), [scrape_config(job) for job in jobs])
            file = stage.folder / "prometheus.yml"
            if self._alerting:
                file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"alerting": dict(self._alerting)}))
            self.server = running.enter_context(Prometheus(self._tools, file))
            there = sum(len(job.targets) for job in jobs)
            self.server.wait_for(
                "count(up == 1)", lambda found: bool(found) and found[0].value == there, timeout=PATIENCE
            )
            self._go_on(self.broken)
            self._running = running.pop_all()
        return self

    def mend(self) -> None:
        self._go_on(self.mended)

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(None, None, None)

    def _go_on(self, times: dict[str, float]) -> None:
        """The next act of every fault, all at once."""

        def next_act(job: str) -> None:
            times[job] = time.time()
            next(self._acts[job], None)

        with ThreadPoolExecutor(len(self._acts)) as pool:
            list(pool.map(next_act, self._acts))


def scrape_config(job: Job) -> dict[str, Any]:
    return {
        "job_name": job.name,
        "metrics_path": load_contract().metrics_path,
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "file_sd_configs": [{"files": [str(job.file)], "refresh_interval": "1s"}],
    }


def knobs(jobs: list[Job]) -> dict[str, Any]:
    """The mixin for all jobs at once, at the pace of a test."""
    own = {alert: knobs for job in jobs for alert, knobs in job.knobs.items()}
    at_once = {"keepFiringFor": "0s"}
    # The `for` of budget burns stands beside their windows.
    paces = {alert: at_once if alert.endswith("Burn") else at_once | {"for": "2s"} for alert in ALERTS}
    return {
        "selector": 'job!=""',
        "expectedTargets": [{"job": job.name} for job in jobs],
        "scrape": {"interval": "1s", "timeout": "1s"},
        "rateWindow": "15s",
        "evaluationInterval": "1s",
        "slowEvaluationInterval": "1s",
        "requests": {"sparseWindow": "30s", "guardWindow": "1m"},
        "objectives": {
            "latency": {"seconds": {SINGLE: "0.01"}},
            "burn": [{"long": "30s", "short": "15s", "factor": "2", "for": "2s", "severity": "critical"}],
        },
        "alerts": {alert: pace | own.get(alert, {}) for alert, pace in paces.items()},
    }
