"""VictoriaMetrics' own verdict on rules: vmalert."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from proof.servers.debian import Missing, Say, debian

SUITES = ("trixie", "forky")
"""Debian suites: 1.112, the oldest that takes `keep_firing_for`, and the newest. bookworm's 1.79 refuses it."""


class CheckFailed(Exception):  # noqa: N818 - The check failed, not we.
    """vmalert found something wrong; the message is its output."""


@dataclass(frozen=True)
class Tools:
    """One version of VictoriaMetrics."""

    version: str
    vmalert: Path


def every(*, say: Say | None = None) -> list[Tools]:
    """Return one of each version to test with, the oldest first. Raises Missing."""
    found = []
    for suite in SUITES:
        root = debian(suite, ("victoria-metrics",), say=say)
        found.append(Tools(_version(root), root / "usr/bin/vmalert"))
    return found


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


def _version(root: Path) -> str:
    """Return the version of the package that was unpacked to `root`: Debian's vmalert does not know its own."""
    with gzip.open(root / "usr/share/doc/victoria-metrics/changelog.Debian.gz", "rt", encoding="utf-8") as changes:
        newest = changes.readline()
    if match := re.search(r"\((?:\d+:)?(\d+\.\d+\.\d+)", newest):
        return match[1]
    raise Missing(f"{root} names no version of VictoriaMetrics; its changelog begins with: {newest.strip()}")
