"""What the parts of a cluster are told: files in one folder."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

SERVER = "https://127.0.0.1:6443"
"""The API server's address."""

SERVICES = "10.96.0.0/24"
PODS = "10.61.0.0/24"
SOCKET = Path("/run/containerd/containerd.sock")
PAUSE = "localhost/pause:built"
"""The image that holds a pod's namespaces."""

WATCHER = "prometheus"
"""The user that Prometheus is to the API server; it may do nothing until a role says so."""

_CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Lower values need a capability that machines for tests seldom have.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/networks"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""


class Configuration:
    """The files, once `write` has been called, and what is secret in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = {user: secrets.token_urlsafe() for user in ("admin", WATCHER)}
        self.certificate = folder / "kubernetes.crt"
        """Of the API server, which vouches for itself."""
        self.key = folder / "kubernetes.key"
        self.users = folder / "users.csv"
        self.kubeconfig = folder / "kubeconfig"
        self.kubelet = folder / "kubelet.yml"
        self.proxy = folder / "kube-proxy.yml"
        self.containerd = folder / "containerd.toml"

    def write(self, cgroup: str, plugins: Path) -> None:
        """Write all files; `cgroup` is the parent of the pods' cgroups, `plugins` the folder of the CNI plugins."""
        self._make_certificate()
        groups = {"admin": "system:masters"}
        users = [f'{token},{user},{user},"{groups.get(user, "")}"' for user, token in self.tokens.items()]
        self.users.write_text("\n".join(users) + "\n")
        self._write_kubeconfig()
        self._write_kubelet(cgroup)
        self._write_proxy()
        self._write_network()
        text = _CONTAINERD.format(folder=self.folder, socket=SOCKET, plugins=plugins, pause=PAUSE)
        self.containerd.write_text(text)

    def _make_certificate(self) -> None:
        subject = ("-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1")
        files = ("-keyout", str(self.key), "-out", str(self.certificate))
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
        subprocess.run(command, check=True, capture_output=True)

    def _write_kubeconfig(self) -> None:
        reached = {"server": SERVER, "certificate-authority": str(self.certificate)}
        _write(self.kubeconfig, {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "own", "cluster": reached}],
            "users": [{"name": "admin", "user": {"token": self.tokens["admin"]}}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "admin"}}],
            "current-context": "own",
        })  # fmt: skip

    def _write_kubelet(self, cgroup: str) -> None:
        _write(self.kubelet, {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "127.0.0.1",
            "authentication": {"anonymous": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroup,
            # Lower values need a capability that machines for tests seldom have.
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "resolvConf": "",
            "volumePluginDir": str(self.folder / "volume-plugins"),
            # The disk is the machine's, and how full it is is none of ours.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi", "imagefs.available": "500Mi"},
            "imageGCHighThresholdPercent": 100,
        })  # fmt: skip

    def _write_proxy(self) -> None:
        _write(self.proxy, {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "bindAddress": "127.0.0.1",
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "clusterCIDR": PODS,
            # The limit is the machine's.
            "conntrack": {"maxPerCore": 0, "min": 0},
        })  # fmt: skip

    def _write_network(self) -> None:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.folder / "addresses"),
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
        networks = self.folder / "networks"
        networks.mkdir()
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}
        (networks / "pods.conflist").write_text(json.dumps(network))


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(data)))
