"""The service on the nodes, a Prometheus that finds its replicas, and clients: who counted what."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from kronos_service.api.paths import SINGLE_PATH
from proof.ray.clients import Clients
from proof.ray.nodes import HEAD, PROXY_PORT, Nodes
from proof.servers.binaries import Tools
from proof.servers.central import compile_into
from proof.servers.process import ProcessError
from proof.servers.prometheus import Prometheus

TARGETS_PORT = 9465
SCRAPE_SECONDS = 3
KEPT = ("ray_serve_num_http_requests_total", "ray_serve_deployment_queued_queries")
"""Of some thousand series of Ray's."""

_JOB = 'job="kronos-api"'
_COUNTED = f'sum by (status) (last_over_time(kronos_requests_total{{{_JOB},route="{SINGLE_PATH}"}}[3h]))'
_PROXIED = 'sum by (status_code) (last_over_time(ray_serve_num_http_requests_total{method="POST"}[3h]))'

KNOBS = {
    "rateWindow": "20s",
    "evaluationInterval": "1s",
    "slowEvaluationInterval": "1s",
    "scrape": {
        "discovery": {"urls": [f"http://{HEAD}:{TARGETS_PORT}/targets"]},
        "interval": f"{SCRAPE_SECONDS}s",
        "timeout": f"{SCRAPE_SECONDS}s",
    },
    "requests": {"sparseWindow": "1m", "guardWindow": "2m"},
    "alerts": {
        "KronosInstanceNotReady": {"for": "1s"},
        "KronosRayRequestsLost": {"enabled": True, "threshold": "0.5", "window": "1m"},
    },
}
"""Minutes become seconds by the mixin's configuration alone."""


class Wrong(Exception):  # noqa: N818 - "raise Wrong" says it.
    """What was seen is not what should be."""


@dataclass(frozen=True)
class Result:
    """Of one scenario: how many requests were sent, which the service did not answer, and who has counted them.

    ``uncounted`` answers of the service were never scraped. ``refused`` were answered, with a problem.
    """

    name: str
    sent: int
    lost: Counter[str]
    refused: Counter[str]
    uncounted: int


class Bench:
    """What the scenarios work with."""

    def __init__(self, nodes: Nodes, prometheus: Prometheus) -> None:
        self.nodes = nodes
        self.prometheus = prometheus
        self.url = f"http://{HEAD}:{PROXY_PORT}"

    def deploy(self, settings: Mapping[str, str] | None = None, **deployment: Any) -> None:
        """Have Ray Serve run the application with ``settings``, KRONOS_ without the prefix, and these options."""
        variables = {f"KRONOS_{name.upper()}": value for name, value in (settings or {}).items()}
        application = {
            "name": "kronos",
            "import_path": "kronos_service.ray_serve:app",
            "args": {"targets_port": TARGETS_PORT},
            "runtime_env": {"env_vars": variables},
            "deployments": [{"name": "kronos", "ray_actor_options": {"num_cpus": 1}, **deployment}],
        }
        http = {"host": HEAD, "port": PROXY_PORT}
        self.nodes.deploy({"proxy_location": "HeadOnly", "http_options": http, "applications": [application]})

    def targets(self) -> set[str]:
        """The addresses in the registry; raises httpx.HTTPError while it does not answer."""
        answer = httpx.get(f"http://{HEAD}:{TARGETS_PORT}/targets", trust_env=False).raise_for_status()
        return {target for group in answer.json() for target in group["targets"]}

    def up(self) -> set[str]:
        """The addresses that Prometheus scrapes with success."""
        return {sample.labels["instance"] for sample in self.prometheus.query(f"up{{{_JOB}}} == 1")}

    def until_running(self, replicas: int, without: set[str] = frozenset()) -> set[str]:  # type: ignore[assignment]
        """Wait for so many replicas that serve and are scraped, none of them at the addresses ``without``."""

        def running() -> bool:
            status = self.nodes.status()
            states = [replica["state"] for replica in status["deployments"]["kronos"]["replicas"]]
            targets = self.targets()
            return (
                status["status"] == "RUNNING"
                and states == ["RUNNING"] * replicas
                and len(targets) == replicas
                and not targets & without
                and self.up() == targets
            )

        self.nodes.until(f"{replicas} replicas", running)
        return self.targets()

    @contextlib.contextmanager
    def calling(self, name: str, results: list[Result], callers: int = 3, *, exact: bool = True) -> Iterator[Clients]:
        """Clients meanwhile, whose answers are then compared with what was counted.

        ``exact`` is whether every answer must be counted. Raises Wrong.
        """
        counted, proxied = self._sums(_COUNTED, "status"), self._sums(_PROXIED, "status_code")
        clients = Clients(self.url)
        with clients.calling(callers):
            yield clients
        self._until_scraped()
        counted = self._sums(_COUNTED, "status") - counted
        if counted - clients.answers or (exact and counted != clients.answers):
            raise Wrong(f"{name}: clients had {clients.answers}, and Prometheus counted {counted}")
        self.nodes.until(
            f"the proxy to count {clients.codes}, it has {self._sums(_PROXIED, 'status_code') - proxied}",
            lambda: self._sums(_PROXIED, "status_code") - proxied == clients.codes,
        )
        uncounted = clients.answers - counted
        refused = Counter({outcome: n for outcome, n in clients.answers.items() if outcome != "success"})
        results.append(Result(name, clients.sent, clients.lost, refused, sum(uncounted.values())))

    def _sums(self, expr: str, label: str) -> Counter[str]:
        samples = self.prometheus.query(expr)
        return Counter({sample.labels[label]: int(sample.value) for sample in samples if sample.value})

    def _until_scraped(self) -> None:
        """Wait until all replicas that there are have been scraped after now."""
        now = time.time()
        self.prometheus.wait_for(
            f"min(timestamp(up{{{_JOB}}}))", lambda found: bool(found) and found[0].value > now, timeout=300
        )


def more(clients: Clients, requests: int) -> None:
    """Wait until so many further requests have ended."""
    wanted, deadline = clients.sent + requests, time.monotonic() + 300
    while clients.sent < wanted:
        if time.monotonic() > deadline:
            raise ProcessError(f"{requests} requests did not end within 300 s")
        time.sleep(0.05)


def prometheus_of(folder: Path, tools: Tools, nodes: Nodes) -> Prometheus:
    """One with the compiled rules and scrape job, and a few series of Ray's own."""
    compile_into(folder, KNOBS)
    jobs = yaml.safe_load((folder / "prometheus" / "prometheus-scrape-config.yml").read_text())["scrape_configs"]
    ray = {
        "job_name": "ray",
        "scrape_interval": f"{SCRAPE_SECONDS}s",
        "scrape_timeout": f"{SCRAPE_SECONDS}s",
        "file_sd_configs": [{"files": [str(nodes.metrics_targets)]}],
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "|".join(KEPT), "action": "keep"}],
    }
    compile_into(folder, KNOBS, [*jobs, ray])
    return Prometheus(tools, folder / "prometheus.yml")
