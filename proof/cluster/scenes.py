"""What is done to the service in the cluster, what must come of it, and what did."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.cluster import watch
from proof.cluster.engine import Cluster, ClusterError
from proof.cluster.manifests import NAMESPACE, Manifests
from proof.cluster.traffic import Clients
from proof.servers.debian import Say
from proof.servers.prometheus import Prometheus

_OURS = f"namespaces/{NAMESPACE}"
_DEPLOYMENT = "deployment/kronos"
_SECONDS = 300.0


class Wrong(Exception):  # noqa: N818 - "raise Wrong" says it.
    """The service, its manifests or what is told of them is not as it should be."""


@dataclass(frozen=True)
class Stage:
    """Where the scenes play: the service runs, and Prometheus watches it."""

    cluster: Cluster
    manifests: Manifests
    server: Prometheus
    rules: Path
    say: Say

    @property
    def url(self) -> str:
        """The address of the Service, which kube-proxy spreads over the pods that are ready."""
        address = self.cluster.get(f"{_OURS}/services/kronos")["spec"]["clusterIP"]
        return f"http://{address}:8000"

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the service's namespace."""
        return self.cluster.kubectl(f"--namespace={NAMESPACE}", *arguments)

    def pods(self) -> dict[str, dict[str, Any]]:
        """The service's pods by name, those that are ending included."""
        return {pod["metadata"]["name"]: pod for pod in self.cluster.get(f"{_OURS}/pods")["items"]}

    def deployment(self) -> dict[str, Any]:
        """What is wanted of the deployment."""
        return dict(self.cluster.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/kronos")["spec"])

    def ready(self) -> list[str]:
        """The names of the pods that get traffic."""
        endpoints = self.cluster.get(f"{_OURS}/endpoints/kronos")
        return sorted(
            address["targetRef"]["name"]
            for subset in endpoints.get("subsets", [])
            for address in subset.get("addresses", [])
        )

    def roll_out(self, variables: Mapping[str, str] | None = None, components: Sequence[str] = ()) -> None:
        """Apply the manifests, and wait until they are what runs and nothing else does."""
        self.cluster.apply(self.manifests.objects(components, variables))
        self.settle()

    def settle(self) -> None:
        """Wait until the rollout is over and the old pods are gone."""
        self.kubectl("rollout", "status", _DEPLOYMENT, f"--timeout={_SECONDS:g}s")
        replicas = self.deployment()["replicas"]
        self.cluster.until(
            "the pods that the deployment has, and no others",
            lambda: len(self.pods()) == replicas == len(self.ready()),
            _SECONDS,
        )

    @contextlib.contextmanager
    def load(self) -> Iterator[Clients]:
        """Clients for as long as the block; there is traffic once it begins."""
        with Clients(self.url) as clients:
            self.cluster.until("the first answers", lambda: clients.answered > 20 or clients.lost)
            yield clients

    def counts_exactly(self, before: Mapping[str, int], clients: Clients, unseen: int = 0) -> int:
        """Wait until Prometheus has counted what clients were answered, but for `unseen`; return what it lacks."""
        expected = clients.answered

        def lacking() -> int:
            return expected - (self.counted() - before.get("success", 0))

        with contextlib.suppress(ClusterError):
            self.cluster.until("Prometheus's count", lambda: lacking() <= 0, 10 if unseen else 60)
        # What is too much may come later.
        time.sleep(3 * watch.SCRAPE_SECONDS)
        if not 0 <= (missing := lacking()) <= unseen:
            raise Wrong(f"clients got {expected} forecasts, and Prometheus counted {expected - missing}")
        return missing

    def counted(self) -> int:
        """The forecasts that Prometheus knows of."""
        return watch.counted(self.server).get("success", 0)


def rolling_update(stage: Stage) -> str:
    """A rolling update under load: nothing is lost, and Prometheus counts exactly what the clients saw."""
    old, before = set(stage.pods()), watch.counted(stage.server)
    with stage.load() as clients:
        stage.kubectl("rollout", "restart", _DEPLOYMENT)
        stage.settle()
    if kept := old & set(stage.pods()):
        raise Wrong(f"pods that were not replaced: {', '.join(kept)}")
    _nothing_lost(clients)
    stage.counts_exactly(before, clients)
    if firing := [alert["labels"] for alert in stage.server.alerts() if alert["state"] == "firing"]:
        raise Wrong(f"alerts fire for a rolling update: {firing}")
    return f"{clients.answered} forecasts, 0 requests lost, {clients.answered} counted, and no alert fires"


def killed(stage: Stage) -> str:
    """A process killed by force: requests in flight are lost, the pod starts again, and the rest goes on."""
    before = watch.counted(stage.server)
    with stage.load() as clients:
        name = stage.ready()[0]
        os.kill(_process(stage, name), signal.SIGKILL)
        stage.cluster.until("a restart", lambda: _container(stage.pods()[name]).get("restartCount") == 1)
        stage.cluster.until("both pods", lambda: len(stage.ready()) == 2, _SECONDS)
        lost, answered = clients.lost, clients.answered
        stage.cluster.until("answers as before", lambda: clients.answered > answered + 50)
        if clients.lost != lost:
            raise Wrong(f"requests are lost after the pod is back: {lost}, then {clients.lost}")
    missing = stage.counts_exactly(before, clients, unseen=100)
    seen = f'changes(process_start_time_seconds{{job="{watch.JOB}", pod="{name}"}}[10m]) > 0'
    stage.server.wait_for(seen, timeout=_SECONDS)
    what = ", ".join(f"{count} {end}" for end, count in sorted(lost.items())) or "none"
    return (
        f"{clients.answered} forecasts; {sum(lost.values())} requests lost ({what}), "
        f"and {missing} forecasts after the last scrape, which Prometheus does not know of"
    )


def deleted_while_starting(stage: Stage) -> str:
    """A pod deleted while it starts: it ends in time and by itself, with exit code 0."""
    grace = stage.deployment()["template"]["spec"]["terminationGracePeriodSeconds"]
    ends = [_deleted_after(moment, stage, grace) for moment in (0.0, 1.0, 3.0)]
    return ", ".join(f"{seconds:.0f} s" for seconds in ends) + f" of {grace} s until it was gone, exit code 0"


def discovery(stage: Stage) -> str:
    """Prometheus finds each pod once, as the guide says, with metrics beside the API and on a port of their own."""
    found = [_scraped(stage, "8000")]
    stage.roll_out(components=["metrics-port"])
    stage.server.reload(_watching(stage, watch.of_the_mixin("metrics")))
    found.append(_scraped(stage, "9000"))
    stage.roll_out()
    stage.server.reload(_watching(stage, watch.of_the_guide()))
    _scraped(stage, "8000")
    return "; ".join(found)


def broken_model(stage: Stage) -> str:
    """A model that can't be loaded is rolled out: it never gets traffic, and Prometheus says why."""
    good, before = set(stage.ready()), watch.counted(stage.server)
    missing = {"KRONOS_MODEL": "/models/none", "KRONOS_TOKENIZER": "/models/none"}
    with stage.load() as clients:
        stage.cluster.apply(stage.manifests.objects(variables=missing))
        failing = f'kronos_model_loads_total{{job="{watch.JOB}", outcome="not_found"}} > 0'
        (broken,) = stage.server.wait_for(failing, timeout=_SECONDS)
        name = broken.labels["pod"]
        alert = {"alertname": "KronosInstanceNotReady", "instance": broken.labels["instance"]}
        stage.server.wait_for(f'kronos_model_ready{{job="{watch.JOB}", pod="{name}"}} == 0', timeout=_SECONDS)
        stage.cluster.until(
            "KronosInstanceNotReady to be pending",
            lambda: any(alert.items() <= one["labels"].items() for one in stage.server.alerts()),
        )
        if set(stage.ready()) != good:
            raise Wrong(f"{', '.join(stage.ready())} get traffic, not {', '.join(sorted(good))}")
        stage.kubectl("rollout", "undo", _DEPLOYMENT)
        stage.settle()
    if set(stage.ready()) != good:
        raise Wrong("the good pods were replaced as well")
    _nothing_lost(clients)
    stage.counts_exactly(before, clients)
    served = stage.server.query(f'sum(max_over_time(kronos_requests_total{{pod="{name}"}}[1h]))')
    if served[0].value:
        raise Wrong(f"{name}, which has no model, got {served[0].value:g} requests")
    return f"{clients.answered} forecasts, 0 requests lost, 0 to the broken pod; KronosInstanceNotReady is pending"


SCENES: dict[str, Callable[[Stage], str]] = {
    "rolling-update": rolling_update,
    "broken-model": broken_model,
    "discovery": discovery,
    "killed": killed,
    "deleted-while-starting": deleted_while_starting,
}


def _watching(stage: Stage, job: Mapping[str, Any]) -> dict[str, Any]:
    return watch.configuration(job, stage.cluster, stage.rules)


def _nothing_lost(clients: Clients) -> None:
    if clients.lost:
        raise Wrong(f"of {sum(clients.seen.values())} requests were lost: {clients.lost}")


def _scraped(stage: Stage, port: str) -> str:
    """Wait until each pod is scraped once, on this port, and says so."""
    addresses = sorted(f"{pod['status']['podIP']}:{port}" for pod in stage.pods().values())

    def seen() -> list[str]:
        return sorted(target["labels"]["instance"] for target in stage.server.targets() if target["health"] == "up")

    try:
        stage.cluster.until("Prometheus to scrape the pods", lambda: seen() == addresses)
    except ClusterError as error:
        raise Wrong(f"{error}: pods at {addresses}, scraped are {stage.server.targets()}") from error
    return f"port {port}: {len(addresses)} pods, {len(addresses)} targets"


def _container(pod: Mapping[str, Any]) -> dict[str, Any]:
    statuses = pod["status"].get("containerStatuses", [{}])
    return dict(statuses[0])


def _process(stage: Stage, name: str) -> int:
    """The id of the process of a pod's container."""
    container = _container(stage.pods()[name])["containerID"].removeprefix("containerd://")
    for line in stage.cluster.ctr("tasks", "list").splitlines()[1:]:
        task, process, *_ = line.split()
        if task == container:
            return int(process)
    raise Wrong(f"containerd runs no task for {name}")


def _deleted_after(moment: float, stage: Stage, grace: float) -> float:
    """Delete a new pod so many seconds after its process has started; returns how many it took to end."""
    known = set(stage.pods())
    stage.kubectl("scale", _DEPLOYMENT, "--replicas=3")
    stage.cluster.until("a third pod", lambda: len(stage.pods()) == 3)
    (name,) = set(stage.pods()) - known
    stage.cluster.until("its process", lambda: "running" in _container(stage.pods()[name]).get("state", {}), _SECONDS)
    time.sleep(moment)
    version = stage.cluster.get(f"{_OURS}/pods")["metadata"]["resourceVersion"]
    # The one that is not ready is the first to go. If it were only deleted, there would be another one.
    stage.kubectl("scale", _DEPLOYMENT, "--replicas=2")
    return _end(stage, name, version, grace)


def _end(stage: Stage, name: str, since: str, grace: float) -> float:
    """Wait for the end of a pod that is to go; returns seconds. It must end by itself, within `grace` seconds."""
    start, code = time.monotonic(), None
    for what, pod in stage.cluster.changes(f"{_OURS}/pods", since, grace + 30):
        if pod["metadata"]["name"] != name:
            continue
        code = _container(pod).get("state", {}).get("terminated", {}).get("exitCode", code)
        if what == "DELETED":
            seconds = time.monotonic() - start
            if seconds > grace or code != 0:
                raise Wrong(f"{name} took {seconds:.0f} s to end, with exit code {code}")
            return seconds
    raise Wrong(f"{name} is still there after {grace + 30:g} s")
