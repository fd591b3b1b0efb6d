"""Builds the page that draws dashboards: Grafana's own front end, from its packages on npm.

It is built on the user's machine, once for each version of its sources: built, it would be twenty megabytes of other
people's code in this package.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from kronos_mixin.cache import cache

SOURCES = Path(__file__).parent / "app"

NODE = 20
"""The oldest version of Node that builds it."""

_LEFT_OUT = shutil.ignore_patterns("node_modules", "dist*")


class AppError(Exception):
    """The page can't be built; the message says what is missing, or what failed."""


def build(say: Callable[[str], None], *, types: bool = False) -> Path:
    """Build the page in the cache, unless it is there; returns its folder.

    `say` gets a line for each step that takes long. `types` has TypeScript check the sources, too. Raises AppError.
    """
    work = packages()
    built = work / f"dist-{_digest(*sorted(path for path in SOURCES.rglob('*') if _is_source(path)))}"
    if built.is_dir() and not types:
        return built
    npm = _npm()
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Another run may be building it.
        shutil.rmtree(work / "src", ignore_errors=True)
        shutil.copytree(SOURCES, work, ignore=_LEFT_OUT, dirs_exist_ok=True)
        if not (work / "installed").is_file():
            say(f"installing the packages of the page, 500 MB, into {work} ...")
            _run([npm, "ci", "--no-fund", "--no-audit"], work)
            (work / "installed").touch()
        if types:
            say("checking the page's types ...")
            _run([npm, "run", "--silent", "types"], work)
        if not built.is_dir():
            say("building the page, a minute ...")
            _run([npm, "run", "--silent", "build", "--", "--outDir", "new", "--emptyOutDir"], work)
            for old in work.glob("dist-*"):
                shutil.rmtree(old)
            (work / "new").rename(built)
    return built


def packages() -> Path:
    """The folder in the cache where the page is built, with its packages in `node_modules`."""
    return cache() / "page" / _digest(SOURCES / "package-lock.json")


def _npm() -> str:
    """The path of npm. Raises AppError unless Node is there, and new enough."""
    install = f"install Node {NODE} or newer with npm (on Debian: apt-get install nodejs npm)"
    other = "or name the folder of a page that was built elsewhere: --app DIR"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        missing = "node" if node is None else "npm"
        raise AppError(f"{missing} is not on PATH, which the page is built with: {install}, {other}")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found[1]) < NODE:
        raise AppError(f"{node} is {version or 'of no version that it tells'}: {install}, {other}")
    return npm


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise AppError(f"{' '.join(['npm', *command[1:]])} in {folder} failed:\n{said}")


def _is_source(path: Path) -> bool:
    below = path.relative_to(SOURCES).parts
    return path.is_file() and below[0] not in {"node_modules", "dist"}


def _digest(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(SOURCES).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
