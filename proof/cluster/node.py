"""The machine that the cluster believes to have: namespaces in which all of it ends with the first process.

Processes, mounts, network and packet filter are gone when that process is, however it ended. Only cgroups outlive
it: they have a common parent, which whoever starts the node takes away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from proof.servers.process import with_us

ADDRESS = "10.60.0.1"
"""The node's own address. No route leads anywhere."""

_CGROUPS = Path("/sys/fs/cgroup")
# Folders that the kubelet or containerd write to without asking.
_PRIVATE = ("/run", "/var/log", "/var/lib/kubelet")
# What the kubelet wants to find. It sets what differs, and that would be the whole machine's.
_KERNEL = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
           "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}  # fmt: skip


def cgroup(node: int) -> str:
    """The parent of all cgroups of the node that the process `node` has started."""
    return f"/kronos-cluster-{node}"


def run(module: str, arguments: Sequence[str]) -> int:
    """Run a Python module as the first process of a node, and return its exit code."""
    for folder in hierarchies():
        for left in folder.glob("kronos-cluster-*"):
            if not Path("/proc", left.name.rpartition("-")[2]).exists():
                _remove(left)
    command = [
        "unshare", "--mount", "--propagation=private", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
        "--mount-proc", sys.executable, "-m", module, *arguments,
    ]  # fmt: skip
    own = [folder / cgroup(os.getpid()).lstrip("/") for folder in hierarchies()]
    for folder in own:
        _make(folder)
    try:
        # Not by subprocess.run, which kills on Ctrl-C: the node hears it as well, and ends in order.
        with subprocess.Popen(with_us(command)) as process:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    continue
    finally:
        for folder in own:
            _remove(folder)


def furnish(work: Path) -> None:
    """Give the node folders, kernel settings and a network of its own. Only to be called inside."""
    for number, folder in enumerate(_PRIVATE):
        Path(folder).mkdir(parents=True, exist_ok=True)
        own = work / f"private-{number}"
        own.mkdir()
        # Not in memory: what pods write counts.
        _run("mount", "--bind", str(own), folder)
        _run("mount", "--make-shared", folder)
    for name, value in _KERNEL.items():
        stand_in = work / name.replace("/", "-")
        stand_in.write_text(f"{value}\n")
        _run("mount", "--bind", str(stand_in), f"/proc/sys/{name}")
    _run("ip", "link", "set", "lo", "up")
    # An interface that is up, for the node's address and for routes to services, which never leave by it.
    _run("ip", "link", "add", "node0", "type", "veth", "peer", "name", "node1")
    for interface in ("node0", "node1"):
        _run("ip", "link", "set", interface, "up")
    _run("ip", "address", "add", f"{ADDRESS}/24", "dev", "node0")
    _run("ip", "route", "add", "default", "dev", "node0")


def hierarchies() -> Iterator[Path]:
    """The folders below which cgroups are made: one for each controller, or one for all."""
    if (_CGROUPS / "cgroup.controllers").exists():
        yield _CGROUPS
        return
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"} and folder.startswith(f"{_CGROUPS}/"):
            yield Path(folder)


def _make(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    # A new set of CPUs is empty in the first version of cgroups, and takes no process.
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (folder / name).exists():
            (folder / name).write_text((folder.parent / name).read_text())


def _remove(folder: Path) -> None:
    """Remove a cgroup and those below, once their processes have ended."""
    deadline = time.monotonic() + 30
    for path in sorted((path for path in [folder, *folder.rglob("*")] if path.is_dir()), reverse=True):
        while path.exists():
            with contextlib.suppress(OSError):
                path.rmdir()
                break
            if time.monotonic() > deadline:
                print(f"{path} could not be removed: {(path / 'cgroup.procs').read_text().split()}", file=sys.stderr)
                return
            time.sleep(0.1)


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(command[0])
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
