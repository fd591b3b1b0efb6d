"""Limits read from made-up cgroup folders: no test can change its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kronos_service import cgroups

HOST = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
HERE = float(len(os.sched_getaffinity(0)))
MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "104857600\n"}, 100 * MEGABYTE),
        ("0::/\n", {"memory.max": "max\n"}, HOST),
        ("0::/\n", {}, HOST),
        ("0::/\n", {"memory.max": str(HOST * 1000)}, HOST),
        ("0::/\n", {"memory.max": "nonsense"}, HOST),
        ("0::/a/b\n", {"a/memory.max": "104857600", "a/b/memory.max": "max"}, 100 * MEGABYTE),
        ("0::/a/b\n", {"a/memory.max": "max", "a/b/memory.max": "52428800"}, 50 * MEGABYTE),
        ("0::/a/b\n", {"a/memory.max": "52428800", "a/b/memory.max": "104857600"}, 50 * MEGABYTE),
        ("0::/../../x\n", {"memory.max": "104857600"}, 100 * MEGABYTE),
        ("0::/host/path\n", {"memory.max": "104857600"}, 100 * MEGABYTE),
        ("5:cpu:/a\n4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "104857600"}, 100 * MEGABYTE),
        ("4:memory:/a\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, HOST),
        ("4:cpu,memory:/a\n", {"memory/memory.limit_in_bytes": "104857600"}, 100 * MEGABYTE),
        (None, {"memory.max": "104857600"}, HOST),
    ],
)
def test_the_smallest_memory_limit_counts(
    tmp_path: Path, membership: str | None, files: dict[str, str], expected: int
):
    assert cgroups.memory_bytes(*make(tmp_path, membership, files)) == expected


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, HERE),
        ("0::/\n", {}, HERE),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 0.5),
        ("0::/\n", {"cpu.max": "100000000 100000"}, HERE),
        (
            "4:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "25000", "cpu/a/cpu.cfs_period_us": "50000"},
            0.5,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, HERE),
    ],
)
def test_the_smallest_quota_counts(tmp_path: Path, membership: str, files: dict[str, str], expected: float):
    assert cgroups.cpus(*make(tmp_path, membership, files)) == expected


def test_this_process_has_limits():
    assert 0 < cgroups.memory_bytes() <= HOST
    assert 0 < cgroups.cpus() <= HERE


def make(folder: Path, membership: str | None, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        file = folder / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if membership is not None:
        (folder / "membership").write_text(membership)
    return folder / "cgroup", folder / "membership"
