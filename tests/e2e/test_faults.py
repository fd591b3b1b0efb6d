"""Every alert is seen to fire on a real fault of a real service, and to resolve when the fault is mended.

All faults happen at once, each as a job of its own in one Prometheus. Minutes become seconds through the mixin's
configuration alone.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.drill.measures import SINGLE
from kronos_mixin.jsonnet import evaluate
from proof.servers import binaries
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from tests.e2e.faults import FAULTS, Job, Stage

ALERTS = set(evaluate(mixin_path()).config["alerts"])
# One compares with last week, the other needs a GPU.
WITHOUT_A_FAULT = {"KronosTrafficDropped", "KronosHighGpuMemoryUsage"}
PATIENCE = 300  # seconds, on the slowest of machines


def test_every_alert_has_a_fault():
    told = [alert for fault in FAULTS.values() for alert in fault.alerts]
    assert set(told) == ALERTS - WITHOUT_A_FAULT
    assert len(told) == len(set(told)), "an alert has one fault"


def scrape_config(job):
    return {
        "job_name": job.name,
        "metrics_path": load_contract().metrics_path,
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "file_sd_configs": [{"files": [str(job.file)], "refresh_interval": "1s"}],
    }


def knobs(jobs):
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


@pytest.fixture(scope="module")
def acts():
    """The faults as they go on, by job."""
    return {}


@pytest.fixture(scope="module")
def broken(acts, tmp_path_factory):
    """A Prometheus that has seen every service well, after all of them were broken."""
    with contextlib.ExitStack() as running, ThreadPoolExecutor(len(FAULTS)) as pool:
        stage = running.enter_context(Stage(tmp_path_factory.mktemp("faults")))
        jobs = [Job(name, stage, dict(fault.alerts)) for name, fault in FAULTS.items()]
        for job in jobs:
            running.push(job.running)
            acts[job.name] = running.enter_context(contextlib.closing(FAULTS[job.name].act(job)))
        list(pool.map(next, acts.values()))
        compile_into(stage.folder, knobs(jobs), [scrape_config(job) for job in jobs])
        server = running.enter_context(Prometheus(binaries.newest(), stage.folder / "prometheus.yml"))
        there = sum(len(job.targets) for job in jobs)
        server.wait_for("count(up == 1)", lambda found: bool(found) and found[0].value == there, timeout=PATIENCE)
        list(pool.map(next, acts.values()))
        yield server


@pytest.fixture(scope="module")
def mended(broken, acts):
    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(lambda act: next(act, None), acts.values()))
    return broken


@pytest.mark.parametrize("job", FAULTS)
def test_fires(broken, job):
    broken.wait_for(
        # A freeze is over soon, perhaps before its turn has come here.
        f'last_over_time(ALERTS{{alertstate="firing", job="{job}"}}[15m])',
        lambda found: {sample.labels["alertname"] for sample in found} >= FAULTS[job].alerts.keys(),
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("job", FAULTS)
def test_resolves(mended, job):
    names = "|".join(FAULTS[job].alerts)
    mended.wait_for(
        f'ALERTS{{alertstate="firing", job="{job}", alertname=~"{names}"}}',
        lambda found: not found,
        timeout=PATIENCE,
    )
