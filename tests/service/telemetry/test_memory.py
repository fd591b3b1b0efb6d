"""The memory limit, read from made-up cgroup folders: no test can change its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kronos_service.telemetry.memory import memory_limit_bytes

HOST = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
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
def test_the_smallest_limit_counts(tmp_path: Path, membership: str | None, files: dict[str, str], expected: int):
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    assert memory_limit_bytes(tmp_path / "cgroup", tmp_path / "membership") == expected


def test_this_process_has_a_limit():
    assert 0 < memory_limit_bytes() <= HOST
