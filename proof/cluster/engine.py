"""etcd, the control plane, containerd and the kubelet, on a node of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from proof.cluster.node import ADDRESS
from proof.cluster.programs import Programs
from proof.servers.debian import Say
from proof.servers.process import Process

SERVER = "https://127.0.0.1:6443"
SERVICES = "10.96.0.0/24"
PODS = "10.61.0.0/24"
NODE = "node"
WATCHER = "prometheus"
"""The user that Prometheus is to the API server; it may do nothing until a role says so."""

_SOCKET = "/run/containerd/containerd.sock"
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
        self.tokens = {user: secrets.token_urlsafe() for user in ("admin", WATCHER)}
        self._cgroup = cgroup
        self._say = say
        self._environment = {**os.environ, "PATH": programs.path}
        self._running = contextlib.ExitStack()
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        try:
            self._write()
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
        return self._command("kubectl", f"--kubeconfig={self._kubeconfig}", *arguments, given=given)

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
        return self._command("ctr", f"--address={_SOCKET}", "--namespace=k8s.io", *arguments)

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

    @property
    def certificate(self) -> Path:
        """The file with the API server's certificate, which is nobody else's."""
        return self.work / "kubernetes.crt"

    @property
    def _key(self) -> Path:
        return self.work / "kubernetes.key"

    @property
    def _kubeconfig(self) -> Path:
        return self.work / "kubeconfig"

    def _connection(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.tokens['admin']}"}
        trust = ssl.create_default_context(cafile=self.certificate)
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
            f"--tls-cert-file={self.certificate}",
            f"--tls-private-key-file={self._key}",
            f"--token-auth-file={self.work / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._key}",
            f"--service-account-signing-key-file={self._key}",
        )
        self.until("the API server", self._answers)
        for name in ("kube-controller-manager", "kube-scheduler"):
            further = [f"--service-account-private-key-file={self._key}"] if name == "kube-controller-manager" else []
            self._start(
                name,
                f"--kubeconfig={self._kubeconfig}",
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
        self._start("containerd", f"--config={self.work / 'containerd.toml'}")
        self.until("containerd", Path(_SOCKET).exists)
        self._start(
            "kubelet",
            f"--config={self.work / 'kubelet.yml'}",
            f"--kubeconfig={self._kubeconfig}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{_SOCKET}",
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
            f"--cert-dir={self.work / 'kubelet'}",
        )
        self._start("kube-proxy", f"--config={self.work / 'kube-proxy.yml'}", f"--hostname-override={NODE}")

    def _write(self) -> None:
        """Write the configuration of everything."""
        (self.work / "logs").mkdir()
        subject = ("-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1")
        files = ("-keyout", str(self._key), "-out", str(self.certificate))
        self._command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files)
        users = [
            f'{token},{user},{user},"{"system:masters" if user == "admin" else ""}"'
            for user, token in self.tokens.items()
        ]
        (self.work / "tokens.csv").write_text("\n".join(users) + "\n")
        reached = {"server": SERVER, "certificate-authority": str(self.certificate)}
        self._yaml("kubeconfig", {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "own", "cluster": reached}],
            "users": [{"name": "admin", "user": {"token": self.tokens["admin"]}}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "admin", "namespace": "default"}}],
            "current-context": "own",
        })  # fmt: skip
        self._yaml("kubelet.yml", {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "127.0.0.1",
            "authentication": {"anonymous": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self._cgroup,
            # Lower values need a capability that machines for tests seldom have.
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "resolvConf": "",
            # The disk is the machine's, and how full it is is none of ours.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi", "imagefs.available": "500Mi"},
            "imageGCHighThresholdPercent": 100,
        })  # fmt: skip
        self._yaml("kube-proxy.yml", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "bindAddress": "127.0.0.1",
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clientConnection": {"kubeconfig": str(self._kubeconfig)},
            "clusterCIDR": PODS,
            # The limit is the machine's.
            "conntrack": {"maxPerCore": 0, "min": 0},
        })  # fmt: skip
        networks = self.work / "networks"
        networks.mkdir()
        network = {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods0",
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(self.work / "addresses"),
                        "ranges": [[{"subnet": PODS}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }
            ],
        }
        (networks / "pods.conflist").write_text(json.dumps(network))
        (self.work / "containerd.toml").write_text(
            _CONTAINERD.format(
                work=self.work, socket=_SOCKET, plugins=self.programs.network_plugins, networks=networks, pause=PAUSE
            )
        )

    def _yaml(self, name: str, data: Mapping[str, Any]) -> None:
        (self.work / name).write_text(yaml.safe_dump(dict(data)))


PAUSE = "localhost/pause:built"
"""The image that holds a pod's namespaces."""

_CONTAINERD = """\
version = 2
root = "{work}/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lower values need a capability that machines for tests seldom have.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""
