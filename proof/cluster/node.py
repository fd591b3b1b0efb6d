"""The machine that the cluster believes to have: namespaces in which all of it ends with the first process.

Processes, mounts, network and packet filter are gone when that process is, however it ended. Only cgroups outlive
it: they have a common parent, which whoever starts the node takes away.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from proof.servers.process import with_us

ADDRESS = "10.60.0.1"
"""The node's own address. No route leads anywhere."""

_CGROUPS = Path("/sys/fs/cgroup")
# Folders that the kubelet, containerd and the plugins of the network write to without asking.
_PRIVATE = ("/run", "/var/log", "/var/lib")
# What the kubelet wants to find. It sets what differs, and that would be the whole machine's.
_KERNEL = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
           "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}  # fmt: skip


class NodeError(Exception):
    """The machine does not let us make a node; the message says what it refuses."""


def cgroup(node: int) -> str:
    """The parent of all cgroups of the node that the process `node` has started."""
    return f"/kronos-cluster-{node}"


def run(module: str, arguments: Sequence[str]) -> int:
    """Run a Python module as the first process of a node, and return its exit code. Raises NodeError."""
    for folder in hierarchies():
        for left in folder.glob("kronos-cluster-*"):
            if not Path("/proc", left.name.rpartition("-")[2]).exists():
                _remove(left)
    command = [
        "unshare", "--mount", "--propagation=private", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
        "--mount-proc", sys.executable, "-m", module, *arguments,
    ]  # fmt: skip
    own = [folder / cgroup(os.getpid()).lstrip("/") for folder in hierarchies()]
    try:
        for folder in own:
            _make(folder)
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
    """Give the node folders, kernel settings and a network of its own. Only to be called inside. Raises NodeError.

    The rest of the machine's files can only be read, but for `work`.
    """
    _run("mount", "--bind", str(work), str(work))
    for number, folder in enumerate(_PRIVATE):
        own = work / f"private-{number}"
        own.mkdir()
        # Not in memory: what pods write counts.
        _run("mount", "--bind", str(own), folder)
        _run("mount", "--make-shared", folder)
    for name, value in _KERNEL.items():
        stand_in = work / name.replace("/", "-")
        stand_in.write_text(f"{value}\n")
        _run("mount", "--bind", str(stand_in), f"/proc/sys/{name}")
    # Whatever else they would leave behind is an error.
    _run("mount", "--options", "remount,bind,ro", "/")
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
    try:
        folder.mkdir(exist_ok=True)
        # A new set of CPUs is empty in the first version of cgroups, and takes no process.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (folder / name).exists():
                (folder / name).write_text((folder.parent / name).read_text())
    except OSError as error:
        raise NodeError(f"The pods need cgroups, and {folder} cannot be made: {error.strerror}.") from error


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
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodeError(f"{' '.join(command)}: {done.stderr.strip()}")
