"""Vendors the Kronos mixin into another repository, with the layout and lock file of jsonnet-bundler (jb)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kronos_mixin.commands import command
from kronos_mixin.contract import mixin_path
from kronos_mixin.files import Transaction

NAME = "kronos-mixin"
"""The name to import it by. The folder's own, `mixin`, would clash with that of any other mixin."""

SUBDIR = "mixin"
FILE, LOCK = "jsonnetfile.json", "jsonnetfile.lock.json"

_URL = re.compile(r"^(?:https?|ssh|git)://(?:[^@/]+@)?(?P<host>[^/:]+)(?::\d+)?/(?P<path>.+)$")
_LOCAL = re.compile(r"^file://(?:localhost)?/(?P<path>.+)$")
_SCP = re.compile(r"^(?:[^@/]+@)(?P<host>[^:/]+):(?P<path>[^/].*)$")
_VERSION = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)$")
_SECONDS = 120


class VendorError(Exception):
    """Vendoring failed; the message says why, and what to do."""


class UnreachableError(VendorError):
    """The remote repository can't be reached."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a dependency comes from, in jb's terms."""

    remote: str
    """Without a password: it is written to files."""

    @classmethod
    def of(cls, remote: str) -> Source:
        """The source at an address, or in a repository on this machine. Raises VendorError."""
        if "://" not in remote and Path(remote).is_dir():
            return cls(Path(remote).resolve().as_uri())
        parts = urllib.parse.urlsplit(remote)
        if parts.scheme in {"http", "https", "git", "ssh"}:
            if parts.query or parts.fragment:
                raise VendorError(f"{without_secrets(remote)}: must be an address without ? and #")
            user, at, host = parts.netloc.rpartition("@")
            # To ssh the user is part of the address, and no secret.
            kept = user.partition(":")[0] + at if parts.scheme == "ssh" else ""
            remote = parts._replace(netloc=kept + host).geturl()
        return cls(remote)

    @property
    def folder(self) -> str:
        """Its folder below vendor/: host/organisation/repository/mixin. Raises VendorError."""
        if match := _LOCAL.match(self.remote):
            return "/".join(("localhost", match["path"].removesuffix("/").removesuffix(".git"), SUBDIR))
        match = _URL.match(self.remote) or _SCP.match(self.remote)
        if match is None:
            raise VendorError(f"{self.remote}: is not an address such as https://git.example.com/team/kronos.git")
        parts = [match["host"], *match["path"].removesuffix("/").removesuffix(".git").split("/")]
        if len(parts) < 3 or any(part in {"", ".", ".."} for part in parts):
            raise VendorError(f"{self.remote}: must name an organisation and a repository, as in .../team/kronos.git")
        return "/".join((*parts, SUBDIR))

    @property
    def data(self) -> dict[str, Any]:
        """As in jsonnetfile.json."""
        return {"git": {"remote": self.remote, "subdir": SUBDIR}}


def without_secrets(text: str) -> str:
    """A text with addresses in it, without their users and passwords, and without what follows a question mark."""
    return re.sub(r"(://)[^@/\s]+@", r"\1", re.sub(r"(://[^\s?]+)\?\S*", r"\1", text))


def vendor(target: Path, remote: str, ref: str) -> tuple[Path, str]:
    """Vendor the mixin at ``ref`` (tag, branch or commit) into ``target``; return its folder and the commit.

    The ref is looked up in the checkout that this program runs from, then in the remote. Writes the same files as
    jb, and keeps other dependencies. Raises VendorError and OSError.
    """
    source = Source.of(remote)
    place = target / "vendor" / source.folder
    link = target / "vendor" / NAME
    if not target.is_dir():
        raise VendorError(f"{target}: is not a folder: name that of your repository")
    if link.exists() and not link.is_symlink():
        raise VendorError(f"{link}: is not a symbolic link: move it away, imports would find it instead")
    declared, locked = _read(target / FILE), _read(target / LOCK)
    with _folder(place.parent), tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{SUBDIR}.") as temporary:
        fresh = Path(temporary) / SUBDIR
        fresh.mkdir()
        commit = _fetch(source.remote if Path(remote).is_dir() else remote, ref, fresh)
        if not (fresh / "mixin.libsonnet").is_file():
            raise VendorError(
                f"{source.remote} at {ref} has no {SUBDIR}/mixin.libsonnet: is it the repository of this mixin?"
            )
        entry = {"source": source.data, "version": ref, "name": NAME}
        lock = {"source": source.data, "version": commit, "sum": checksum(fresh), "name": NAME}
        with Transaction() as transaction:
            transaction.write(target / FILE, _text(_with(declared, entry, legacy=True)))
            transaction.write(target / LOCK, _text(_with(locked, lock, legacy=False)))
            transaction.commit()
            old = Path(temporary) / "old"
            if place.exists():
                place.rename(old)
            try:
                fresh.rename(place)
                _link(link, Path(source.folder))
            except BaseException:
                if old.exists():
                    shutil.rmtree(place, ignore_errors=True)
                    old.rename(place)
                transaction.undo()
                raise
    return place, commit


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it and what was made above it if the block fails."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # Something else was put there meanwhile.
            for path in new:
                path.rmdir()
        raise


def outdated(target: Path, remote: str | None = None, ref: str | None = None) -> list[str]:
    """Return what is outdated or edited in a vendored copy; empty if nothing is.

    ``remote`` and ``ref`` default to those in jsonnetfile.json. Raises VendorError if nothing is vendored there, and
    UnreachableError if the remote can't be reached.
    """
    named = Source.of(remote).remote if remote else None
    entry = _entry(_read(target / FILE), named)
    lock = _entry(_read(target / LOCK), named)
    if entry is None or lock is None:
        missing = FILE if entry is None else LOCK
        vendor_it = command("vendor", target, "--remote", "URL", "--ref", "TAG")
        raise VendorError(f"{target / missing}: has no {NAME}: add it with `{vendor_it}`")
    source = Source(entry["source"]["git"]["remote"])
    place = target / "vendor" / source.folder
    problems = []
    if not place.is_dir():
        again = command("vendor", target, "--remote", source.remote, "--ref", entry["version"])
        problems.append(f"{place}: is missing: run `{again}`, or `jb install`")
    elif checksum(place) != lock.get("sum"):
        problems.append(f"{place}: does not match the sum in {LOCK}: it was edited")
    wanted = ref or entry["version"]
    try:
        refs = _refs(remote or source.remote)
    except UnreachableError:
        if problems:
            return problems
        raise
    now = _resolve(refs, wanted)
    if now is None and not lock["version"].startswith(wanted):
        problems.append(f"{source.remote}: no longer has {wanted}")
    elif now is not None and now != lock["version"]:
        problems.append(f"{wanted} is now {now[:12]}, but {lock['version'][:12]} is vendored")
    elif ref is None and (newer := _newer(refs, wanted)):
        problems.append(f"{newer} is out, but {wanted} is vendored")
    return problems


def checksum(folder: Path) -> str:
    """The sum in jb's lock file: a hash over the contents of all files, in the order of Go's filepath.Walk."""
    digest = hashlib.sha256()
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    # Walk sorts the names in each folder: compare paths part by part.
    for path in sorted(files, key=lambda path: [part.encode() for part in path.relative_to(folder).parts]):
        digest.update(path.read_bytes())
    return base64.b64encode(digest.digest()).decode()


def _fetch(remote: str, ref: str, folder: Path) -> str:
    """Unpack the mixin at ``ref`` into ``folder``; return the commit."""
    if ref.startswith("-"):
        raise VendorError(f"{ref}: is not the name of a tag, branch or commit")
    checkout = mixin_path().parent
    if (checkout / ".git").exists():
        known = _git("-C", str(checkout), "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
        if known:
            _unpack(checkout, known.decode().strip(), folder)
            return known.decode().strip()
    with tempfile.TemporaryDirectory(prefix="kronos-mixin-") as clone:
        _git("init", "--quiet", "--template=", clone)
        try:
            _git("-C", clone, "fetch", "--quiet", "--depth", "1", remote, ref)
            name = "FETCH_HEAD"
        except VendorError:
            # Is the remote there at all? Not every one gives a commit by its name alone.
            refs = _refs(remote)
            name = ref
            if re.fullmatch(r"[0-9a-f]{7,40}", ref):
                _git("-C", clone, "fetch", "--quiet", remote, "+refs/*:refs/*")
        commit = (
            _git("-C", clone, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False).decode().strip()
        )
        if not commit:
            tags = [name.removeprefix("refs/tags/") for name in refs if re.fullmatch(r"refs/tags/[^^]+", name)]
            there = f"its tags are {', '.join(tags[-5:])}" if tags else "it has no tags"
            raise VendorError(f"{Source.of(remote).remote} has no tag, branch or commit {ref}: {there}")
        _unpack(Path(clone), commit, folder)
    return commit


def _unpack(repository: Path, commit: str, folder: Path) -> None:
    try:
        # With the bytes of the commit, whatever this machine makes of line ends.
        plain = ("core.autocrlf=false", "core.eol=lf", "core.attributesFile=/dev/null")
        options = [part for option in plain for part in ("-c", option)]
        archive = _git("-C", str(repository), *options, "archive", "--format=tar", f"{commit}:{SUBDIR}")
    except VendorError as error:
        raise VendorError(f"commit {commit[:12]} has no folder {SUBDIR}: {error}") from None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def _refs(remote: str) -> dict[str, str]:
    """Every branch and tag of the remote, with its commit."""
    try:
        lines = _git("ls-remote", remote).decode().splitlines()
    except VendorError as error:
        raise UnreachableError(f"can't reach {without_secrets(remote)}: {error}") from None
    return {name: commit for commit, _, name in (line.partition("\t") for line in lines)}


def _resolve(refs: dict[str, str], ref: str) -> str | None:
    # An annotated tag is an object of its own; the line with ^{} has its commit.
    names = (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref)
    return next((refs[name] for name in names if name in refs), None)


def _newer(refs: dict[str, str], ref: str) -> str | None:
    """The newest released version, if ``ref`` is an older one."""
    own = _VERSION.match(ref)
    if own is None:
        return None
    tags = (name.removeprefix("refs/tags/") for name in refs if name.startswith("refs/tags/"))
    versions = {tuple(map(int, match.groups())): tag for tag in tags if (match := _VERSION.match(tag))}
    newest = max(versions, default=(0, 0, 0))
    return versions[newest] if newest > tuple(map(int, own.groups())) else None


def _git(*arguments: str, check: bool = True) -> bytes:
    program = shutil.which("git")
    if program is None:
        raise VendorError("git is not on PATH: install it, or use `jb install`")
    # Fail instead of asking for a password.
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise VendorError(f"git did not answer within {_SECONDS} s") from None
    if done.returncode and check:
        said = without_secrets(done.stderr.decode(errors="replace").strip())
        raise VendorError(said or f"git {arguments[0]} ended with {done.returncode}")
    return b"" if done.returncode else done.stdout


def _link(link: Path, to: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(to)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise VendorError(f"{path}: is not JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("dependencies", []), list):
        raise VendorError(f"{path}: is not a jsonnetfile with a list of dependencies")
    if data.get("version", 1) != 1:
        raise VendorError(f"{path}: has version {data['version']}, which this program does not know")
    return data


def _entry(data: dict[str, Any], remote: str | None) -> dict[str, Any] | None:
    """The entry of this mixin: by ``remote``, else by its name."""
    for entry in data.get("dependencies", []):
        git = entry.get("source", {}).get("git", {})
        if git and (entry.get("name") == NAME if remote is None else git.get("remote") == remote):
            return dict(entry)
    return None


def _with(data: dict[str, Any], entry: dict[str, Any], legacy: bool) -> dict[str, Any]:
    """A jsonnetfile with ``entry`` instead of an older one, sorted like jb's."""
    others = [
        other
        for other in data.get("dependencies", [])
        if other.get("name") != NAME and other.get("source") != entry["source"]
    ]
    return {
        "version": 1,
        "dependencies": sorted([*others, entry], key=_order),
        # Without it jb makes no link vendor/NAME.
        "legacyImports": True if legacy else data.get("legacyImports", False),
    }


def _order(entry: dict[str, Any]) -> str:
    source = entry.get("source", {})
    if "git" not in source:
        return str(source.get("local", {}).get("directory", ""))
    remote, subdir = str(source["git"].get("remote")), str(source["git"].get("subdir", ""))
    try:
        return Source(remote).folder.removesuffix(SUBDIR) + subdir
    except VendorError:
        return remote


def _text(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()
