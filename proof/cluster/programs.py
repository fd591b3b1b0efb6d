"""The programs of a Kubernetes node: the daemons built from Debian's source, the rest out of its packages."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kronos_mixin.cache import cache
from proof.servers.debian import Missing, Say, debian, source

SUITE = "bookworm"
"""The newest Debian that has the source of Kubernetes with all that it needs."""

_DAEMONS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")
_PACKAGES = ("containerd", "containernetworking-plugins", "etcd-server", "kubernetes-client", "runc")
_COMPILER = ("golang-1.19-go", "golang-1.19-src", "rsync")
_FOR_THE_BUILD = {"gcc": "gcc", "make": "make", "jq": "jq"}
_FOR_THE_NODE = {"ip": "iproute2", "iptables": "iptables", "unshare": "util-linux", "openssl": "openssl"}


class BuildError(Exception):
    """The build failed; the message has its last lines."""


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    daemons: Path
    """Folder of what was built: the daemons, and `pause`, which holds a pod's namespaces."""
    packages: Path
    """The unpacked packages, as below `/`."""

    @property
    def path(self) -> str:
        """What PATH must be for them to find each other."""
        unpacked = [str(self.packages / folder) for folder in ("usr/bin", "usr/sbin")]
        return os.pathsep.join(
            [str(self.daemons), *unpacked, os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]
        )

    @property
    def network_plugins(self) -> Path:
        """Folder of the CNI plugins."""
        return self.packages / "usr/lib/cni"


def programs(*, say: Say) -> Programs:
    """Return the programs, built at the first call: ten CPU minutes and 3 GB. Raises Missing and BuildError."""
    _require(_FOR_THE_NODE)
    return Programs(_daemons(say), debian(SUITE, _PACKAGES, say=say))


def _require(commands: Mapping[str, str]) -> None:
    if absent := [package for command, package in commands.items() if shutil.which(command) is None]:
        raise Missing(f"{' and '.join(absent)} must be installed: apt-get install {' '.join(absent)}")


def _daemons(say: Say) -> Path:
    store = cache() / "kubernetes"
    built = store / SUITE
    if built.is_dir():
        return built
    _require(_FOR_THE_BUILD)
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.is_dir():
            with tempfile.TemporaryDirectory(dir=store) as folder:
                _build(Path(folder), say).rename(built)
    return built


def _build(work: Path, say: Say) -> Path:
    """Build below `work`, and return the folder with the programs alone."""
    compiler = debian(SUITE, _COMPILER, say=say)
    tree = work / "source"
    source(SUITE, "kubernetes", tree, say=say)
    # The makefiles expect the tree where Go looked for it before there were modules.
    (tree / ".go/src/k8s.io").mkdir(parents=True)
    (tree / ".go/src/k8s.io/kubernetes").symlink_to("../../..")
    paths = [str(compiler / "usr/lib/go-1.19/bin"), str(compiler / "usr/bin"), os.environ["PATH"]]
    environment = {
        **os.environ,
        "HOME": str(work),
        "GOPATH": str(tree / ".go"),
        "GOPROXY": "off",
        "CGO_ENABLED": "0",
        "PATH": os.pathsep.join(paths),
    }
    say("building Kubernetes: first the generators of its code, then its code, then the programs …")
    _make(["make", f"WHAT={' '.join(f'cmd/{name}' for name in _DAEMONS)}"], tree, environment, say)
    finished = work / "finished"
    finished.mkdir()
    for name in _DAEMONS:
        shutil.move(tree / "_output/bin" / name, finished)
    pause = ["gcc", "-Os", "-static", "-o", str(finished / "pause"), str(tree / "build/pause/linux/pause.c")]
    _make(pause, tree, environment, say)
    return finished


def _make(command: list[str], folder: Path, environment: Mapping[str, str], say: Say) -> None:
    lines = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            say(lines[-1])
    if process.returncode:
        raise BuildError(f"{command[0]}:\n" + "\n".join(lines[-20:]))
