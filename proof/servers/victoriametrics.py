"""VictoriaMetrics on a loopback port, and vmalert, which evaluates rules over it or tells what it thinks of them."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from proof.servers.debian import Missing, Say, debian
from proof.servers.process import Process, free_port

SUITES = ("trixie", "forky")
"""Debian suites: 1.112, the oldest that takes `keep_firing_for`, and the newest. bookworm's 1.79 refuses it."""


class CheckFailed(Exception):  # noqa: N818 - The check failed, not we.
    """vmalert found something wrong; the message is its output."""


@dataclass(frozen=True)
class Tools:
    """One version of VictoriaMetrics."""

    version: str
    vmalert: Path

    @property
    def storage(self) -> Path:
        """The server that stores and answers."""
        return self.vmalert.with_name("victoria-metrics")


def every(*, say: Say | None = None) -> list[Tools]:
    """Return one of each version to test with, the oldest first. Raises Missing."""
    found = []
    for suite in SUITES:
        root = debian(suite, ("victoria-metrics",), say=say)
        found.append(Tools(_version(root), root / "usr/bin/vmalert"))
    return found


@contextlib.contextmanager
def storing(tools: Tools, *flags: str) -> Iterator[str]:
    """A storage for as long as a `with` block, in a temporary folder; gives its address. Raises ProcessError."""
    with tempfile.TemporaryDirectory(prefix="kronos-victoria-") as folder:
        own = [f"-storageDataPath={folder}/data", *flags]
        with _running(tools.storage, own, Path(folder), f"VictoriaMetrics {tools.version}") as url:
            yield url


@contextlib.contextmanager
def alerting(tools: Tools, rules: Iterable[Path], storage: str, *flags: str) -> Iterator[str]:
    """vmalert over the storage at an address, for as long as a `with` block; gives its own. Raises ProcessError."""
    with tempfile.TemporaryDirectory(prefix="kronos-vmalert-") as folder:
        own = [f"-datasource.url={storage}", *(f"-rule={path}" for path in rules), *flags]
        with _running(tools.vmalert, own, Path(folder), f"vmalert {tools.version}") as url:
            yield url


@contextlib.contextmanager
def _running(program: Path, flags: Sequence[str], folder: Path, name: str) -> Iterator[str]:
    port = free_port()
    argv: list[str | Path] = [program, f"-httpListenAddr=127.0.0.1:{port}", *flags]
    with Process(argv, log=folder / "log", name=name) as process:
        url = f"http://127.0.0.1:{port}"
        process.wait_http(f"{url}/health")
        yield url


def check_rules(tools: Tools, paths: Iterable[Path]) -> str:
    """Let vmalert parse rule files, expressions and templates included, and evaluate none.

    To vmalert a duplicate rule is an error.
    """
    named = [f"-rule={path}" for path in paths]
    done = subprocess.run(
        [tools.vmalert, "-dryRun", *named], capture_output=True, text=True, timeout=120, check=False
    )
    said = done.stdout + done.stderr
    if done.returncode:
        raise CheckFailed(f"vmalert {tools.version} -dryRun {' '.join(named)}: exit code {done.returncode}:\n{said}")
    return said


def replay(tools: Tools, rules: Iterable[Path], storage: str, begin: float, end: float) -> None:
    """Evaluate rules from `begin` to `end` (Unix seconds) over a storage, which gets the results before this returns.

    No rule finds there what another one of them records. Raises CheckFailed, with vmalert's last lines.
    """
    argv: list[str | Path] = [
        tools.vmalert,
        *(f"-rule={path}" for path in rules),
        f"-datasource.url={storage}",
        f"-remoteWrite.url={storage}",
        *(f"-replay.time{name}={_stamp(time)}" for name, time in (("From", begin), ("To", end))),
        "-replay.rulesDelay=0s",
        "-replay.disableProgressBar",
        "-httpListenAddr=127.0.0.1:0",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise CheckFailed(f"vmalert {tools.version}: exit code {done.returncode}:\n{done.stderr[-2000:]}")
    flush(storage)


def flush(storage: str) -> None:
    """Make what a storage was sent visible to queries."""
    httpx.get(f"{storage}/internal/force_flush", timeout=60, trust_env=False).raise_for_status()


def _stamp(time: float) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _version(root: Path) -> str:
    """Return the version of the package that was unpacked to `root`: Debian's vmalert does not know its own."""
    with gzip.open(root / "usr/share/doc/victoria-metrics/changelog.Debian.gz", "rt", encoding="utf-8") as changes:
        newest = changes.readline()
    if match := re.search(r"\((?:\d+:)?(\d+\.\d+\.\d+)", newest):
        return match[1]
    raise Missing(f"{root} names no version of VictoriaMetrics; its changelog begins with: {newest.strip()}")
