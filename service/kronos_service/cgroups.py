"""What the control groups of this process allow it. Reads versions 2 and 1."""

from __future__ import annotations

import os
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")

_UNLIMITED_V1 = 2**62
"""Version 1 says "no limit" of memory with a number near 2^63, rounded down to whole pages."""


def memory_bytes(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> int:
    """The smallest memory limit of this process's cgroup and those around it, at most the host's memory."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder, version in _folders("memory", mount, membership):
        text = _read(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
        if text.isdigit() and int(text) < _UNLIMITED_V1:
            limits.append(int(text))
    return min(limits)


def cpus(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> float:
    """How many CPUs this process may keep busy: those it may run on, or the smallest quota around it."""
    limits = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    for folder, version in _folders("cpu", mount, membership):
        if version == 2:
            quota, _, period = _read(folder / "cpu.max").partition(" ")
        else:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        # Without a limit the quota is "max" or -1.
        if quota.isdigit() and period.isdigit():
            limits.append(int(quota) / int(period))
    return min(limits)


def _folders(controller: str, mount: Path, membership: Path) -> list[tuple[Path, int]]:
    """The folders of this process's cgroup and those around it, and their version.

    A container may see its cgroup as the root, under a host path whose folders it does not see: a missing folder has
    no limit.
    """
    found = []
    for line in _read(membership).splitlines():
        # <hierarchy>:<controllers>:<path>; version 2 has the hierarchy 0 and no controllers.
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            folder, version = mount, 2
        elif controller in controllers.split(","):
            folder, version = mount / controller, 1
        else:
            continue
        found.append((folder, version))
        for part in Path(path).parts:
            if part not in {"/", ".."}:
                folder /= part
                found.append((folder, version))
    return found


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
