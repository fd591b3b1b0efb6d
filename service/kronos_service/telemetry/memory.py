"""How much memory this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_UNLIMITED_V1 = 2**62
"""Version 1 says "no limit" with a number near 2^63, rounded down to whole pages."""


def memory_limit_bytes(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """The smallest memory limit of this process's cgroup and those around it, at most the host's memory, in bytes.

    Reads cgroup versions 2 and 1. ``cgroups`` is where they are mounted, ``membership`` the file that names the
    process's own. A container may see its cgroup as the root, under a host path whose folders it does not see: a
    missing folder has no limit.
    """
    limits = [_host_memory_bytes()]
    for line in _read(membership).splitlines():
        # <hierarchy>:<controllers>:<path>; version 2 has the hierarchy 0 and no controllers.
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            limits += _limits(cgroups, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits(cgroups / "memory", path, "memory.limit_in_bytes")
    return min(limits)


def _limits(root: Path, path: str, name: str) -> list[int]:
    """The limits from ``root`` down to ``path``."""
    folder = root
    found = [_limit(folder / name)]
    for part in Path(path).parts:
        if part not in {"/", ".."}:
            folder /= part
            found.append(_limit(folder / name))
    return [limit for limit in found if limit is not None]


def _limit(file: Path) -> int | None:
    text = _read(file).strip()
    if not text.isdigit() or int(text) >= _UNLIMITED_V1:
        return None
    return int(text)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _host_memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
