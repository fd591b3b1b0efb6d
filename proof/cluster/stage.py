"""The cluster with the service and Prometheus in it, as scenes find it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof.cluster import watch
from proof.cluster.engine import Cluster, ClusterError
from proof.cluster.manifests import NAMESPACE, Manifests
from proof.cluster.traffic import Clients
from proof.servers.debian import Say
from proof.servers.prometheus import Prometheus

OURS = f"namespaces/{NAMESPACE}"
"""The service's namespace in paths of the API server."""

DEPLOYMENT = "deployment/kronos"
PATIENCE = 300.0
"""How long anything may take here: a busy machine is no failure."""


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
        address = self.cluster.get(f"{OURS}/services/kronos")["spec"]["clusterIP"]
        return f"http://{address}:8000"

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl in the service's namespace."""
        return self.cluster.kubectl(f"--namespace={NAMESPACE}", *arguments, given=given)

    def pods(self) -> dict[str, dict[str, Any]]:
        """The service's pods by name, those that are ending included."""
        return {pod["metadata"]["name"]: pod for pod in self.cluster.get(f"{OURS}/pods")["items"]}

    def deployment(self) -> dict[str, Any]:
        """What is wanted of the deployment."""
        return dict(self.cluster.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/kronos")["spec"])

    def ready(self) -> list[str]:
        """The names of the pods that get traffic."""
        endpoints = self.cluster.get(f"{OURS}/endpoints/kronos")
        return sorted(
            address["targetRef"]["name"]
            for subset in endpoints.get("subsets", [])
            for address in subset.get("addresses", [])
        )

    def evict(self, name: str) -> None:
        """Evict a pod. Raises ClusterError if its budget does not allow it."""
        eviction = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}}
        self.kubectl(
            "create", f"--raw=/api/v1/{OURS}/pods/{name}/eviction", "--filename=-", given=json.dumps(eviction)
        )

    def roll_out(self, variables: Mapping[str, str] | None = None, components: Sequence[str] = ()) -> None:
        """Apply the manifests, and wait until they are what runs and nothing else does."""
        self.cluster.apply(self.manifests.objects(components, variables))
        self.settle()

    def settle(self) -> None:
        """Wait until the rollout is over and the old pods are gone."""
        self.kubectl("rollout", "status", DEPLOYMENT, f"--timeout={PATIENCE:g}s")
        replicas = self.deployment()["replicas"]
        self.cluster.until(
            "the pods that the deployment has, and no others",
            lambda: len(self.pods()) == replicas == len(self.ready()),
            PATIENCE,
        )

    @contextlib.contextmanager
    def load(self) -> Iterator[Clients]:
        """Clients for as long as the block; there is traffic once it begins."""
        with Clients(self.url) as clients:
            self.cluster.until("the first answers", lambda: clients.answered > 20 or clients.lost)
            yield clients

    def watch(self, job: Mapping[str, Any]) -> None:
        """Let Prometheus find the pods by this scrape job from now on."""
        self.server.reload(watch.configuration(job, self.cluster.configuration, self.rules))

    def nothing_lost(self, clients: Clients) -> None:
        """Raise Wrong if a client was not served."""
        if clients.lost:
            raise Wrong(f"of {sum(clients.seen.values())} requests were lost: {clients.lost}")

    def counts_exactly(self, before: int, clients: Clients, unseen: int = 0) -> int:
        """Wait until Prometheus has counted what clients were answered, but for `unseen`; return what it lacks."""
        expected = clients.answered

        def lacking() -> int:
            return expected - (self.counted() - before)

        with contextlib.suppress(ClusterError):
            self.cluster.until("Prometheus's count", lambda: lacking() <= 0, 10 if unseen else 60)
        # What is too much may come later.
        time.sleep(3 * watch.SCRAPE_SECONDS)
        if not 0 <= (missing := lacking()) <= unseen:
            raise Wrong(f"clients got {expected} forecasts, and Prometheus counted {expected - missing}")
        return missing

    def alerts(self, *states: str) -> set[str]:
        """The names of the alerts that are in one of these states."""
        return {alert["labels"]["alertname"] for alert in self.server.alerts() if alert["state"] in states}

    def counted(self) -> int:
        """The forecasts that Prometheus knows of, from all pods that were."""
        return watch.counted(self.server).get("success", 0)


def container(pod: Mapping[str, Any]) -> dict[str, Any]:
    """What a pod says of its container; nothing before there is one."""
    statuses = pod["status"].get("containerStatuses", [{}])
    return dict(statuses[0])
