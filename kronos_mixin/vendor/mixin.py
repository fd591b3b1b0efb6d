"""Vendors the Kronos mixin into another repository, and says what is outdated there."""

from __future__ import annotations

import re
from pathlib import Path

from kronos_mixin.commands import command
from kronos_mixin.vendor.errors import UnreachableError, VendorError
from kronos_mixin.vendor.git import Repository
from kronos_mixin.vendor.install import Installed, add
from kronos_mixin.vendor.jsonnetfile import FILE, LOCK, Dependency, Jsonnetfile
from kronos_mixin.vendor.source import Git
from kronos_mixin.vendor.tree import checksum

NAME = "kronos-mixin"
"""The name to import it by. The folder's own, `mixin`, would clash with that of any other mixin."""

SUBDIR = "mixin"
_VERSION = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)$")


def vendor(target: Path, remote: str, ref: str) -> Installed:
    """Install the mixin at ``ref`` (tag, branch or commit) into ``target``. Raises VendorError and OSError."""
    source = Git.of(remote, SUBDIR)
    link = target / "vendor" / NAME
    if link.exists() and not link.is_symlink():
        raise VendorError(f"{link}: is not a symbolic link: move it away, imports would find it instead")
    repository = Repository(source)
    if not repository.has(repository.commit(ref).name, f"{SUBDIR}/mixin.libsonnet"):
        raise VendorError(
            f"{source.remote} at {ref} has no {SUBDIR}/mixin.libsonnet: is it the repository of this mixin?"
        )
    return add(target, [Dependency(source, ref, alias=NAME)])


def outdated(target: Path, remote: str | None = None, ref: str | None = None) -> list[str]:
    """Return what is outdated or edited in a vendored copy; empty if nothing is.

    ``remote`` and ``ref`` default to those in jsonnetfile.json. Raises VendorError if nothing is vendored there, and
    UnreachableError if the remote can't be reached.
    """
    named = Git.of(remote, SUBDIR) if remote else None
    entry, lock = _entry(target / FILE, named), _entry(target / LOCK, named)
    if entry is None or lock is None:
        missing = FILE if entry is None else LOCK
        vendor_it = command("vendor", target, "--remote", "URL", "--ref", "TAG")
        raise VendorError(f"{target / missing}: has no {NAME}: add it with `{vendor_it}`")
    source = named or entry[0]
    place = target / "vendor" / source.name
    problems = []
    if not place.is_dir():
        again = command("vendor", target, "--remote", source.remote, "--ref", entry[1].version)
        problems.append(f"{place}: is missing: run `{again}`")
    elif checksum(place) != lock[1].sum:
        problems.append(f"{place}: does not match the sum in {LOCK}: it was edited")
    wanted, locked = ref or entry[1].version, lock[1].version
    try:
        refs = Repository(source).refs()
    except UnreachableError:
        if problems:
            return problems
        raise
    now = _resolve(refs, wanted)
    if now is None and not locked.startswith(wanted):
        problems.append(f"{source.remote}: no longer has {wanted}")
    elif now is not None and now != locked:
        problems.append(f"{wanted} is now {now[:12]}, but {locked[:12]} is vendored")
    elif ref is None and (newer := _newer(refs, wanted)):
        problems.append(f"{newer} is out, but {wanted} is vendored")
    return problems


def _entry(path: Path, named: Git | None) -> tuple[Git, Dependency] | None:
    """The entry of this mixin: by its repository, else by its name."""
    file = Jsonnetfile.read(path, path.parent) or Jsonnetfile()
    for entry in file.dependencies.values():
        if isinstance(entry.source, Git) and (entry.alias == NAME if named is None else entry.source == named):
            return entry.source, entry
    return None


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
