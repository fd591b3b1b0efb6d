"""etcd, the control plane, containerd and the kubelet, on a node of their own."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from proof.cluster.configuration import SERVER, SERVICES, SOCKET, Configuration
from proof.cluster.node import ADDRESS
from proof.cluster.programs import Programs
from proof.servers.debian import Say
from proof.servers.process import Process

_NODE = "node"
_PATIENCE = 180.0


class ClusterError(Exception):
    """The cluster does not do what was asked; the message says what it said."""


class Cluster:
    """A cluster of one node, as a context manager; it must run inside a node. `work` is an empty folder for it.

    Entering returns once the node is ready, and raises ProcessError or ClusterError when it doesn't get there.
    """

    def __init__(self, programs: Programs, work: Path, cgroup: str, *, say: Say) -> None:
        self.programs = programs
        self.work = work
        self.configuration = Configuration(work)
        self._cgroup = cgroup
        self._say = say
        self._environment = {**os.environ, "PATH": programs.path, "HOME": str(work)}
        self._running = contextlib.ExitStack()
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        try:
            (self.work / "logs").mkdir()
            self.configuration.write(self._cgroup, self.programs.network_plugins)
            self._client = self._running.enter_context(self._connection())
            start = time.monotonic()
            self._start_control_plane()
            self._say(f"API server: ready after {time.monotonic() - start:.0f} s")
            self._start_node()
            self.until("the node to be ready", lambda: "True" in self._node_conditions())
            self._say(f"node: ready after {time.monotonic() - start:.0f} s")
        except BaseException:  # Ctrl-C too: __exit__ is not called when entering fails.
            self._running.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl, with `given` as its input, and return what it printed. Raises ClusterError."""
        return self._command("kubectl", f"--kubeconfig={self.configuration.kubeconfig}", *arguments, given=given)

    def get(self, path: str) -> Any:
        """Return what the API server has at a path below `/api/v1` or, with a slash at its start, anywhere."""
        answer = self._client.get(path if path.startswith("/") else f"/api/v1/{path}")
        if not answer.is_success:
            raise ClusterError(f"{path}: HTTP {answer.status_code} {answer.text}")
        return answer.json()

    def changes(self, path: str, since: str, seconds: float) -> Iterator[tuple[str, Any]]:
        """Yield what happens to objects below `/api/v1` after a version: what (ADDED and so on), and to whom."""
        parameters = {"watch": "1", "resourceVersion": since, "timeoutSeconds": f"{seconds:.0f}"}
        with self._client.stream("GET", f"/api/v1/{path}", params=parameters, timeout=seconds + 30) as answer:
            for line in answer.iter_lines():
                event = json.loads(line)
                yield event["type"], event["object"]

    def apply(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Apply objects; the API server must know each of their fields. Raises ClusterError."""
        self.kubectl("apply", "--validate=true", "--filename=-", given=yaml.safe_dump_all(map(dict, objects)))

    def ctr(self, *arguments: str) -> str:
        """Run containerd's command line on the kubelet's containers; as `kubectl`."""
        return self._command("ctr", f"--address={SOCKET}", "--namespace=k8s.io", *arguments)

    def versions(self) -> dict[str, str]:
        """The version of each part, by name."""
        return {
            "Kubernetes": json.loads(self.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"],
            "containerd": self._command("containerd", "--version").split()[2],
            "runc": self._command("runc", "--version").split()[2],
            "etcd": self._command("etcd", "--version").split()[2],
        }

    def until(self, what: str, condition: Callable[[], object], patience: float = _PATIENCE) -> None:
        """Wait until `condition` is true. Raises ProcessError if a part ends, ClusterError when time is up."""
        deadline = time.monotonic() + patience
        while not condition():
            for process in self._processes:
                process.check()
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {patience:g} s for {what}")
            time.sleep(0.2)

    def _connection(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.configuration.tokens['admin']}"}
        trust = ssl.create_default_context(cafile=self.configuration.certificate)
        return httpx.Client(base_url=SERVER, headers=headers, verify=trust, trust_env=False, timeout=30)

    def _command(self, *command: str, given: str | None = None) -> str:
        done = subprocess.run(
            command,
            env=self._environment,
            input=given or "",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}:\n{done.stderr.strip()}")
        return done.stdout

    def _node_conditions(self) -> list[str]:
        nodes = self.get("nodes")["items"]
        conditions = [condition for node in nodes for condition in node["status"].get("conditions", [])]
        return [condition["status"] for condition in conditions if condition["type"] == "Ready"]

    def _start(self, name: str, *options: str) -> Process:
        log = self.work / "logs" / f"{name}.log"
        process = Process([name, *options], env=self._environment, log=log, name=name)
        self._running.enter_context(process)
        self._processes.append(process)
        return process

    def _start_control_plane(self) -> None:
        told = self.configuration
        etcd = self._start(
            "etcd",
            f"--data-dir={self.work / 'etcd'}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            # What is here for minutes need not survive a crash.
            "--unsafe-no-fsync",
        )
        etcd.wait_http("http://127.0.0.1:2379/health")
        self._start(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            "--bind-address=127.0.0.1",
            f"--advertise-address={ADDRESS}",
            "--endpoint-reconciler-type=none",
            f"--tls-cert-file={told.certificate}",
            f"--tls-private-key-file={told.key}",
            f"--token-auth-file={told.users}",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={told.key}",
            f"--service-account-signing-key-file={told.key}",
        )
        self.until("the API server", self._answers)
        for name in ("kube-controller-manager", "kube-scheduler"):
            further = [f"--service-account-private-key-file={told.key}"] if name == "kube-controller-manager" else []
            self._start(
                name,
                f"--kubeconfig={told.kubeconfig}",
                "--bind-address=127.0.0.1",
                "--port=0",
                "--leader-elect=false",
                f"--cert-dir={self.work / name}",
                *further,
            )

    def _answers(self) -> bool:
        try:
            return self._client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def _start_node(self) -> None:
        told = self.configuration
        self._start("containerd", f"--config={told.containerd}")
        self.until("containerd", SOCKET.exists)
        self._start(
            "kubelet",
            f"--config={told.kubelet}",
            f"--kubeconfig={told.kubeconfig}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{SOCKET}",
            f"--hostname-override={_NODE}",
            f"--node-ip={ADDRESS}",
            f"--cert-dir={self.work / 'kubelet'}",
        )
        self._start("kube-proxy", f"--config={told.proxy}", f"--hostname-override={_NODE}")
