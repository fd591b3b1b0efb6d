"""Installs what a jsonnetfile.json asks for, and what that asks for itself, as `jb install` and `jb update` do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kronos_mixin.files import Transaction, workspace
from kronos_mixin.vendor.errors import UnreachableError, VendorError
from kronos_mixin.vendor.git import Commit, Repository
from kronos_mixin.vendor.jsonnetfile import FILE, LOCK, Dependency, Jsonnetfile
from kronos_mixin.vendor.known import Known
from kronos_mixin.vendor.layout import Layout, Package
from kronos_mixin.vendor.source import Git, Local, parse
from kronos_mixin.vendor.tree import checksum, fingerprint


@dataclass(frozen=True)
class Installed:
    """What an installation did."""

    packages: list[Package]
    removed: list[str]
    notes: list[str]


def install(
    target: Path, uris: Iterable[str] = (), *, single: bool = False, alias: str = "", force: bool = False
) -> Installed:
    """Install the packages of ``target``, after adding ``uris`` to its jsonnetfile.json.

    Locked packages stay as they are locked. Either everything is done, or nothing. Raises VendorError and OSError.
    """
    added = []
    for uri in uris:
        source, version = parse(uri, target)
        if isinstance(source, Git) and not version:
            version = Repository(source).default_branch()
        added.append(Dependency(source, version, single=single, alias=alias))
    return add(target, added, force=force)


def add(target: Path, added: Collection[Dependency], *, force: bool = False) -> Installed:
    """As `install`, with dependencies instead of their URLs."""
    declared, locked = _read(target, needed=not added)
    dependencies, locks = dict(declared.dependencies), dict(locked.dependencies)
    for dependency in added:
        old = dependencies.get(dependency.name)
        if old is None or (old.source, old.version) != (dependency.source, dependency.version):
            locks.pop(dependency.name, None)
        dependencies[dependency.name] = dependency
    links = declared.legacy_imports or any(dependency.alias for dependency in added)
    return _install(target, Jsonnetfile(dependencies, links), locks, force=force)


def update(target: Path, uris: Iterable[str] = (), *, force: bool = False) -> Installed:
    """Install the newest commits of the packages at ``uris``, or of all, whatever the lock says."""
    declared, locked = _read(target, needed=True)
    locks, fresh = dict(locked.dependencies), set()
    for uri in uris:
        source, version = parse(uri, target)
        if version:
            raise VendorError(f"{uri}: update takes no version; `install {uri}` changes it")
        if source.name not in declared.dependencies and source.name not in locks:
            raise VendorError(f"{uri}: neither {FILE} nor {LOCK} has {source.name}")
        fresh.add(source.name)
    if not fresh:
        fresh = {*locks, *declared.dependencies}
    kept = {name: lock for name, lock in locks.items() if name not in fresh}
    return _install(target, declared, kept, fresh=fresh, force=force)


def _read(target: Path, *, needed: bool) -> tuple[Jsonnetfile, Jsonnetfile]:
    declared = Jsonnetfile.read(target / FILE, target)
    if not target.is_dir():
        raise VendorError(f"{target}: is not a folder: name that of your repository")
    if declared is None and needed:
        raise VendorError(f"{target / FILE}: is not there: `install URL@VERSION` makes it")
    return declared or Jsonnetfile(), Jsonnetfile.read(target / LOCK, target) or Jsonnetfile()


def _install(
    target: Path,
    declared: Jsonnetfile,
    locks: Mapping[str, Dependency],
    *,
    fresh: Collection[str] = (),
    force: bool,
) -> Installed:
    target = target.resolve()
    vendor = (target / "vendor").resolve()
    old_lock = Jsonnetfile.read(target / LOCK, target)
    with workspace(vendor.parent) as stage, Transaction() as transaction:
        settling = _Settling(target, vendor, locks, set(fresh), stage)
        settling.settle(declared.dependencies.values(), target, FILE)
        packages = settling.packages
        layout = Layout(vendor, stage / "vendor")
        layout.plan(
            packages, Known(target / LOCK, old_lock or Jsonnetfile()), links=declared.legacy_imports, force=force
        )
        lock = Jsonnetfile({name: package.locked for name, package in packages.items()}, legacy_imports=False)
        for path, before, now in (
            (target / FILE, Jsonnetfile.read(target / FILE, target), declared),
            (target / LOCK, old_lock, lock),
        ):
            # As it was written, if it says the same.
            if before is None or before != now:
                transaction.write(path, now.content())
        with layout.laid():
            transaction.commit()
    return Installed(list(packages.values()), layout.removed, settling.notes + layout.notes)


@dataclass
class _Settling:
    """Finds out, from package to package, which ones are needed in which versions."""

    target: Path
    vendor: Path
    locks: Mapping[str, Dependency]
    fresh: Collection[str]
    stage: Path
    packages: dict[str, Package] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _askers: dict[str, tuple[str, str]] = field(default_factory=dict)

    def settle(self, wanted: Iterable[Dependency], folder: Path, asker: str) -> None:
        """Settle what ``asker`` in ``folder`` wants, then what that wants. Who comes first decides, as with jb."""
        new = []
        for dependency in wanted:
            name = dependency.name
            if name not in self.packages:
                self._askers[name] = (dependency.version, asker)
                try:
                    self.packages[name] = self._get(dependency, folder)
                except VendorError as error:
                    needed = f" (needed by {asker})" if asker != FILE else ""
                    raise type(error)(f"{name}{needed}: {error}") from None
                new.append(name)
            elif dependency.version != self._askers[name][0]:
                first, by = self._askers[name]
                self.notes.append(
                    f"{name}: {asker} wants {dependency.version or 'a folder here'}, "
                    f"but {by} comes first and wants {first or 'a folder here'}: that is used"
                )
        for name in new:
            package = self.packages[name]
            if package.locked.single:
                continue
            nested = Jsonnetfile.read(package.content / FILE, self.target)
            if nested is not None:
                self.settle(nested.dependencies.values(), package.place, name)

    def _get(self, dependency: Dependency, folder: Path) -> Package:
        source = dependency.source
        if isinstance(source, Local):
            place = Path(os.path.normpath(folder / source.directory))
            content = self._content(place)
            if not content.is_dir():
                raise VendorError(f"{place}: is not a folder")
            return Package(replace(dependency, version="", sum=""), "", place, content)
        lock = self.locks.get(dependency.name)
        if lock and not lock.version:
            lock = None
        place = self.vendor / dependency.name
        if lock and lock.sum and place.is_dir() and not place.is_symlink() and checksum(place) == lock.sum:
            return Package(replace(dependency, version=lock.version, sum=lock.sum), dependency.version, place, place)
        repository = Repository(source)
        commit = self._commit(repository, dependency, lock)
        if commit.stale:
            self.notes.append(
                f"{dependency.name}: can't reach {source.remote}: took {dependency.version} as it was fetched last"
            )
        content = self.stage / str(len(self.packages))
        repository.export(commit.name, content)
        digest = checksum(content)
        if lock and lock.sum and digest != lock.sum:
            raise VendorError(
                f"commit {commit.name[:12]} has the sum {digest}, but {LOCK} has {lock.sum}: somebody changed "
                f"what is locked, or another tool made the sum. To trust the commit, take the entry out of {LOCK}"
            )
        locked = replace(dependency, version=commit.name, sum=digest)
        if place.is_dir() and not place.is_symlink() and fingerprint(place) == fingerprint(content):
            shutil.rmtree(content)
            content = place
        return Package(locked, dependency.version, place, content)

    def _commit(self, repository: Repository, dependency: Dependency, lock: Dependency | None) -> Commit:
        if lock is None:
            return repository.commit(dependency.version, fresh=dependency.name in self.fresh)
        try:
            return repository.commit(lock.version)
        except UnreachableError:
            raise
        except VendorError as error:
            raise VendorError(f"{error}; {LOCK} names it: `update` takes another") from None

    def _content(self, place: Path) -> Path:
        """The files that will be at ``place``, which may lie in a package that is not there yet."""
        for package in self.packages.values():
            if place.is_relative_to(package.place):
                return package.content / place.relative_to(package.place)
        return place
