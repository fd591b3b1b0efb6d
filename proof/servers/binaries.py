"""The Prometheus binaries to run: the user's own, or Debian's."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from proof.servers.debian import Missing, Say, debian, unavailable

__all__ = ["OLDEST", "SUITES", "Missing", "Tools", "every", "newest", "version_of"]

SUITES = ("bookworm", "trixie", "forky", "sid")
"""Debian suites, the oldest Prometheus first: 2.42, 2.53 LTS, 3.5 or what has replaced it, and what will."""

OLDEST = (2, 42)
"""The oldest Prometheus that is supported."""

_VERSION = re.compile(r"version (\d+)\.(\d+)\.(\d+)")
_REMEDY = "Install Prometheus and promtool, {}.{} or newer, and put them on PATH.".format(*OLDEST)


@dataclass(frozen=True)
class Tools:
    """One version of Prometheus: the server and its command line."""

    version: str
    """Three numbers, as the server prints them ("3.5.3"), without the packager's suffix."""
    prometheus: Path
    promtool: Path

    @property
    def release(self) -> tuple[int, ...]:
        """The version to compare with: (3, 5, 3)."""
        return tuple(map(int, self.version.split(".")))


def newest(*, say: Say | None = None) -> Tools:
    """Return the binaries on PATH, if both are there and not too old, else the newest that Debian has.

    `say` gets a line of progress when something has to be downloaded. Raises Missing.
    """
    if tools := _on_path():
        return tools
    if reason := unavailable():
        raise Missing(f"There is no Prometheus: PATH has none, and {reason}. {_REMEDY}")
    failures = []
    for suite in reversed(SUITES):
        try:
            return _from_debian(suite, say)
        except Missing as error:
            failures.append(str(error))
    raise Missing("\n".join(["There is no Prometheus: PATH has none.", *failures, _REMEDY]))


def every(*, say: Say | None = None) -> list[Tools]:
    """Return one of each version to test with, the oldest first: Debian's, and PATH's if it is another.

    A suite that can't be fetched raises Missing: fewer versions must not look like success. Only a
    system that is not Debian makes do with PATH's.
    """
    own = _on_path()
    if reason := unavailable():
        if own is None:
            raise Missing(f"There is no Prometheus: PATH has none, and {reason}. {_REMEDY}")
        return [own]
    found = [_from_debian(suite, say) for suite in SUITES]
    # Suites may have the same version, and PATH one of theirs: one of each is enough.
    versions = {tools.version: tools for tools in [*found, *([own] if own else [])]}
    return sorted(versions.values(), key=lambda tools: tools.release)


def _on_path() -> Tools | None:
    prometheus, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if prometheus is None or promtool is None:
        return None
    tools = _tools(Path(prometheus), Path(promtool))
    return tools if tools.release >= OLDEST else None


def _from_debian(suite: str, say: Say | None) -> Tools:
    # bookworm's promtool is inside the package of the server.
    packages = ("prometheus",) if suite == "bookworm" else ("prometheus", "promtool")
    folder = debian(suite, packages, say=say) / "usr/bin"
    return _tools(folder / "prometheus", folder / "promtool")


def _tools(prometheus: Path, promtool: Path) -> Tools:
    version = version_of(prometheus)
    if (other := version_of(promtool)) != version:
        raise Missing(
            f"{prometheus} is {version}, but {promtool} is {other}: rules would be checked by another "
            "version than runs them. Install both from one release."
        )
    return Tools(version, prometheus, promtool)


def version_of(program: Path) -> str:
    """Return what `program --version` says; 2.x says it on standard output, some builds on the other."""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
        written = result.stdout + result.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        written = str(error)
    if match := _VERSION.search(written):
        return ".".join(match.groups())
    raise Missing(f"{program} --version names no version; it said: {written.strip() or 'nothing'}. {_REMEDY}")
