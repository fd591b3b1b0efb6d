"""Programs out of Debian's packages, unpacked into a cache: no root, no installation, no download site.

The packages come from the site that this system itself uses, and apt checks their signatures. Nothing
of the system's own apt state is read or written but its sources: lists, cache and status are private.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from kronos_mixin.cache import cache

Say = Callable[[str], None]

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What sources may call the system's release instead of its code name.
_ALIASES = frozenset({"stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"})
_RELEASE = re.compile(r"^'(?P<site>\S+?)/dists/(?P<suite>[^/\s]+)/InRelease'", re.MULTILINE)
_SIZE = re.compile(r"^'\S+' \S+ (?P<bytes>\d+)", re.MULTILINE)
_SECONDS = 900  # A slow line, not a hang: apt gives up on a silent server by itself, much earlier.

# A file, not -o options: only a file can #clear what the system's configuration adds to a list.
_CONFIGURATION = """\
// Hooks belong to the system's own lists, and a pin or default release to its own suites.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{work}/empty";
Dir::State::lists "{work}/lists";
// As if nothing were installed: an installed version must not hide the suite's.
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
// Without it a list that could not be fetched is a warning, and the package "does not exist".
APT::Update::Error-Mode "any";
// The cache is the caller's: apt's own user may not be able to write there.
APT::Sandbox::User "root";
"""


class Missing(Exception):  # noqa: N818 - "raise Missing" says it.
    """A program can't be had here; the message says why and what to do."""


class _CommandError(Exception):
    """A command failed; the message is what it wrote."""


def unavailable() -> str | None:
    """Return why Debian's packages can't be unpacked on this system; None where they can."""
    for command in ("apt-get", "dpkg", "dpkg-deb"):
        if shutil.which(command) is None:
            return f"there is no {command} here to unpack Debian's packages with"
    system = _os_release()
    if system.get("ID") != "debian":
        name = system.get("PRETTY_NAME") or "of unknown name"
        return f"this system is {name}, and its apt-get knows no site for Debian's packages"
    return None


def debian(suite: str, packages: Sequence[str], *, say: Say | None = None) -> Path:
    """Return a folder with the files of `packages` from a Debian suite, as below `/` (`usr/bin/...`).

    `suite` is a code name such as "trixie"; dependencies are not unpacked. The first call downloads
    (30 to 60 MB), later ones need no network. Calls at once, from any process, wait for one another.
    `say` gets one line of progress before the download.

    Raises Missing, with apt's own words, when the packages can't be fetched or the cache not be written.
    """
    what = f"{' and '.join(packages)} of Debian {suite}"
    if reason := unavailable():
        raise Missing(f"Cannot unpack {what}: {reason}. Install them and put them on PATH.")
    store = cache() / "debian"
    try:
        key = f"{suite}-{_architecture()}-{'+'.join(sorted(packages))}"
        unpacked = store / key
        if unpacked.is_dir():
            return unpacked
        store.mkdir(parents=True, exist_ok=True)
        with (store / f".{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not unpacked.is_dir():
                _unpack(suite, packages, unpacked, work=store / f".{key}.partial", say=say)
        return unpacked
    except _CommandError as error:
        raise Missing(
            f"Cannot unpack {what}:\n{error}\n"
            "Check the network and apt's proxy settings, or install the programs and put them on PATH."
        ) from error
    except OSError as error:
        raise Missing(
            f"Cannot unpack {what} into {cache()}: {error.strerror or error}. "
            "Set KRONOS_CACHE to a folder that can be written, with 400 MB free."
        ) from error


def source(suite: str, package: str, target: Path, *, say: Say | None = None) -> None:
    """Unpack a package's source, with Debian's patches, as the folder `target`, which must not exist yet.

    `say` gets one line of progress before the download. Raises Missing, with apt's own words, when it can't be had.
    """
    what = f"the source of {package} of Debian {suite}"
    if shutil.which("dpkg-source") is None:
        raise Missing(f"Cannot unpack {what}: there is no dpkg-source here. Install dpkg-dev.")
    work = target.with_name(f".{target.name}.partial")
    try:
        with _workplace(work):
            _download(suite, [package], work, say, kind="deb-src")
            (description,) = (work / "packages").glob("*.dsc")
            # apt has checked the sums of what it fetched, by Debian's signature of the list.
            _run(["dpkg-source", "--no-check", "--extract", str(description), str(work / "source")])
            (work / "source").rename(target)
    except _CommandError as error:
        raise Missing(f"Cannot unpack {what}:\n{error}\nCheck the network and apt's proxy settings.") from error


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _architecture() -> str:
    return _run(["dpkg", "--print-architecture"]).strip()


def _unpack(suite: str, packages: Sequence[str], target: Path, *, work: Path, say: Say | None) -> None:
    """Fetch and unpack in `work`, then rename to `target`: half a tree is never seen."""
    with _workplace(work):
        _download(suite, packages, work, say)
        for package in sorted((work / "packages").glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(work / "root")])
        (work / "root").rename(target)


@contextlib.contextmanager
def _workplace(work: Path) -> Iterator[None]:
    """A folder with apt's configuration and private state, for as long as the block."""
    shutil.rmtree(work, ignore_errors=True)  # Whoever left it was killed: the lock is ours.
    try:
        for folder in ("lists/partial", "cache/archives/partial", "empty", "packages", "root"):
            (work / folder).mkdir(parents=True)
        (work / "status").touch()
        (work / "apt.conf").write_text(_CONFIGURATION.format(work=work), encoding="utf-8")
        yield
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(
    suite: str, packages: Sequence[str], work: Path, say: Say | None, kind: Literal["deb", "deb-src"] = "deb"
) -> None:
    """Download the packages into work/packages from the first of the system's sites that has them."""
    trust = f" signed-by={_KEYRING}" if _KEYRING.exists() else ""
    apt = [
        *_apt(work),
        *("-o", f"Dir::Etc::sourcelist={work}/sources.list"),
        *("-o", f"Dir::Etc::sourceparts={work}/empty"),
    ]
    get = [*apt, "download"] if kind == "deb" else [*apt, "source", "--download-only"]
    failures = []
    for site in _sites(work):
        line = f"{kind} [arch={_architecture()}{trust}] {site} {suite} main\n"
        (work / "sources.list").write_text(line, encoding="utf-8")
        try:
            _run([*apt, "update"])
            if say is not None:
                size = sum(map(int, _SIZE.findall(_run([*get, "--print-uris", *packages]))))
                say(f"Unpacking {' and '.join(packages)} from Debian {suite} ({size / 1e6:.0f} MB) …")
            _run([*get, *packages], cwd=work / "packages")
        except _CommandError as error:
            failures.append(str(error))
        else:
            return
    raise _CommandError("\n".join(failures))


def _sites(work: Path) -> list[str]:
    """Return the sites that this system takes its own release from, Debian's own archive first.

    The addresses that an update would fetch are asked for, not the index files that are there: a fresh
    image has none. Others publish under Debian's code names too, but seldom `-updates` beside them.
    """
    suites: dict[str, set[str]] = {}
    for match in _RELEASE.finditer(_run([*_apt(work), "update", "--print-uris"])):
        suites.setdefault(match["site"], set()).add(match["suite"])
    names = _ALIASES | {_os_release().get("VERSION_CODENAME", "")}
    sites = [site for site, found in suites.items() if found & names]
    if not sites:
        raise _CommandError(
            "The apt sources of this system name no site for its own release "
            f"({_os_release().get('PRETTY_NAME')}); they have: {', '.join(sorted(suites)) or 'none at all'}."
        )
    return sorted(sites, key=lambda site: len(suites[site]), reverse=True)


def _apt(work: Path) -> list[str]:
    return ["apt-get", "-c", str(work / "apt.conf"), "-q"]


def _run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Return the standard output; raise _CommandError with what was written when the command fails."""
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _CommandError(f"{command[0]} did not end within {_SECONDS} s") from error
    if result.returncode:
        # apt marks what matters; dpkg does not.
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        marked = [line for line in lines if line.startswith("E:")]
        written = "\n".join(marked or lines[-20:]) or f"exit code {result.returncode}"
        raise _CommandError(f"{command[0]}: {written}")
    return result.stdout
