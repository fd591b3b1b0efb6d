from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from proof.servers import debian
from proof.servers.debian import Missing

ROOT = Path(__file__).parents[3]
NOBODY = 65534

# Without Debian there is nothing to unpack from; test_binaries.py holds what is promised there.
on_debian = pytest.mark.skipif(debian.unavailable() is not None, reason=str(debian.unavailable()))


@on_debian
def test_two_processes_unpack_once(tmp_path):
    script = (
        "from proof.servers.debian import debian\n"
        "print(debian('bookworm', ['hello'], say=lambda line: print('said', line)))\n"
    )
    environment = {**os.environ, "KRONOS_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    said = [line for output in outputs for line in output.splitlines() if line.startswith("said")]
    assert len(said) == 1
    assert said[0].startswith("said Unpacking hello from Debian bookworm (")
    (folder,) = {output.splitlines()[-1] for output in outputs}
    hello = subprocess.run([f"{folder}/usr/bin/hello"], capture_output=True, text=True, check=True)
    assert "Hello, world!" in hello.stdout
    # Neither lists nor packages are kept.
    assert sorted(path.name for path in Path(folder).parent.iterdir() if path.is_dir()) == [Path(folder).name]


@on_debian
def test_the_cache_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("KRONOS_CACHE", str(tmp_path))
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    there = tmp_path / "debian" / f"trixie-{architecture}-one+two"
    there.mkdir(parents=True)
    monkeypatch.setattr(debian, "_unpack", lambda *_, **__: pytest.fail("unpacked again"))
    assert debian.debian("trixie", ["two", "one"]) == there


@on_debian
def test_what_a_killed_process_left_is_replaced(tmp_path, monkeypatch):
    target, work = tmp_path / "target", tmp_path / "work"
    (work / "root/usr/half").mkdir(parents=True)
    monkeypatch.setattr(debian, "_download", lambda *_: None)
    debian._unpack("trixie", ["one"], target, work=work, say=None)
    assert list(target.iterdir()) == []
    assert not work.exists()


@on_debian
def test_an_unknown_suite_is_missing_with_apts_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("KRONOS_CACHE", str(tmp_path))
    with pytest.raises(Missing, match="Cannot unpack hello of Debian nosuchsuite") as caught:
        debian.debian("nosuchsuite", ["hello"])
    assert "does not have a Release file" in str(caught.value)
    assert "put them on PATH" in str(caught.value)


@on_debian
def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o555)
    monkeypatch.setenv("KRONOS_CACHE", str(cache))
    root = os.geteuid() == 0
    if root:  # Which may write anywhere.
        os.seteuid(NOBODY)
    try:
        with pytest.raises(Missing, match=r"Permission denied.*Set KRONOS_CACHE"):
            debian.debian("bookworm", ["hello"])
    finally:
        if root:
            os.seteuid(0)


@on_debian
def test_a_cache_below_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KRONOS_CACHE", str(tmp_path / "file/cache"))
    with pytest.raises(Missing, match="Not a directory"):
        debian.debian("bookworm", ["hello"])


def uris(*releases: str) -> str:
    lines = [f"'{release}/InRelease' some_file_name 0 " for release in releases]
    packages = [f"'{release}/main/binary-amd64/Packages.xz' another_name 0 " for release in releases]
    return "\n".join(lines + packages)


@pytest.mark.parametrize(
    ("releases", "sites"),
    [
        (
            [
                "https://vendor.example/linux/debian/dists/bookworm",
                "https://mirror.example/debian/dists/bookworm",
                "https://mirror.example/debian/dists/bookworm-updates",
                "https://mirror.example/debian-security/dists/bookworm-security",
            ],
            ["https://mirror.example/debian", "https://vendor.example/linux/debian"],
        ),
        (["http://mirror.example/dists/stable"], ["http://mirror.example"]),
        (
            ["mirror+file:/etc/apt/mirrors/debian.list/dists/bookworm"],
            ["mirror+file:/etc/apt/mirrors/debian.list"],
        ),
    ],
)
def test_the_site_is_the_systems_own(monkeypatch, tmp_path, releases, sites):
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(debian, "_run", lambda _: uris(*releases))
    assert debian._sites(tmp_path) == sites


def test_a_system_without_a_site_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(
        platform,
        "freedesktop_os_release",
        lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"},
    )
    monkeypatch.setattr(debian, "_run", lambda _: uris("https://vendor.example/dists/any"))
    with pytest.raises(debian._CommandError, match=r"Debian 12.*they have: https://vendor\.example\."):
        debian._sites(tmp_path)
