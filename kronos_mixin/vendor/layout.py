"""Prepares the new vendor/ beside the old one, and puts it in its place in one step."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kronos_mixin.vendor.errors import VendorError
from kronos_mixin.vendor.jsonnetfile import Dependency
from kronos_mixin.vendor.known import Known
from kronos_mixin.vendor.source import Local
from kronos_mixin.vendor.tree import exchange, lay, remove


@dataclass(frozen=True)
class Package:
    """A package that was settled on."""

    locked: Dependency
    wanted: str
    """The version that was asked for."""
    place: Path
    """Where it will be: in vendor/, or, if it is a local folder, where that is."""
    content: Path
    """Its files as they are now: at their place already, or fresh ones."""

    @property
    def fresh(self) -> bool:
        """Whether its files are to be put into their place."""
        return self.content != self.place

    @property
    def local(self) -> bool:
        """Whether it is a folder on this machine, which vendor/ has a link to."""
        return isinstance(self.locked.source, Local)


class Layout:
    """The folder vendor/: what is in it, and what will be."""

    def __init__(self, vendor: Path, new: Path) -> None:
        """``vendor`` is the folder as it is, ``new`` where the next one is prepared."""
        self.vendor, self.new = vendor, new
        self.removed: list[str] = []
        self.notes: list[str] = []
        self._changed = False
        self._links: dict[str, str] = {}
        self._locals: set[str] = set()

    def plan(self, packages: Mapping[str, Package], known: Known, *, links: bool, force: bool) -> None:
        """Prepare the new folder. Raises VendorError where somebody's own work would be lost, unless by ``force``.

        What no package owns is removed, as jb does, if it was fetched once or is committed; else it stays, and a note
        says so. jb removes that, too.
        """
        self._locals = {name for name, package in packages.items() if package.local}
        self._links = self._linked(packages, links)
        places = [name for name, package in packages.items() if not package.local]
        self._refuse_edited(packages, known, force)
        # A package may lie within another, and then goes on top.
        for name in sorted(places, key=lambda name: name.count("/")):
            self._place(name, packages[name])
        for name in places:
            known.remember(self.new / name)
        self._keep(self.vendor, PurePosixPath(), {PurePosixPath(name) for name in places}, known, force)
        for name, to in self._links.items():
            link = self.new / name
            if os.path.lexists(link):
                self.notes.append(f"vendor/{name}: is there already, so it is no link to {to}")
            else:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(to)
                old = self.vendor / name
                self._changed |= not (old.is_symlink() and str(old.readlink()) == to)

    @contextlib.contextmanager
    def laid(self) -> Iterator[None]:
        """Have the new folder in place; if the block fails, the old one again."""
        if not self._changed:
            yield
            return
        there = self.vendor.exists()
        self.new.mkdir(exist_ok=True)
        self.new.chmod(self.vendor.stat().st_mode & 0o7777 if there else 0o755)
        exchange(self.new, self.vendor)
        try:
            yield
        except BaseException:
            exchange(self.new, self.vendor)
            if not there:
                self.vendor.rmdir()
            raise

    def _linked(self, packages: Mapping[str, Package], links: bool) -> dict[str, str]:
        """Names of links with what they lead to: first local folders, then packages by short names."""
        wanted = {name: os.path.relpath(packages[name].place, self.vendor) for name in sorted(self._locals)}
        for name, package in packages.items():
            short = package.locked.link
            if not links or not short:
                continue
            if short in wanted:
                self.notes.append(f"vendor/{short}: leads to {wanted[short]}, so there is no link to {name}")
            else:
                wanted[short] = name
        return wanted

    def _refuse_edited(self, packages: Mapping[str, Package], known: Known, force: bool) -> None:
        edited = []
        for name, package in packages.items():
            place = self.vendor / name
            # A link of ours, or of jb's, may be replaced by another.
            stays = place.is_symlink() if package.local else not package.fresh
            if os.path.lexists(place) and not stays and not known.replaceable(place):
                edited.append(f"vendor/{name}")
        if edited and not force:
            raise VendorError(
                f"{', '.join(edited)}: not as it was fetched, and committed nowhere: move it away, "
                "or replace it with --force"
            )

    def _place(self, name: str, package: Package) -> None:
        target = self.new / name
        for parent in target.parents:
            if parent.is_symlink():
                raise VendorError(f"{name}: lies below a symbolic link of another package")
        if os.path.lexists(target):
            remove(target)
        lay(package.content, target)
        self._changed |= package.fresh

    def _keep(self, folder: Path, path: PurePosixPath, places: set[PurePosixPath], known: Known, force: bool) -> None:
        """Go through what is in the old folder at ``path``, and take over what is nobody's."""
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            below = path / entry.name
            link = str(entry.readlink()) if entry.is_symlink() else ""
            if below in places or (link and link == self._links.get(str(below))):
                continue
            is_folder = entry.is_dir() and not link
            holds = any(place.is_relative_to(below) for place in places)
            if not holds and ((force and (link or is_folder)) or self._replaceable(entry, below, known)):
                self._changed = True
                self.removed += [f"vendor/{below}"] if is_folder else []
            elif is_folder and (holds or all(child.is_dir() and not child.is_symlink() for child in entry.iterdir())):
                self._keep(entry, below, places, known, force)
            else:
                if is_folder:
                    self.notes.append(
                        f"vendor/{below}: belongs to no package, and is committed nowhere: kept; --force removes it"
                    )
                lay(entry, self.new / below)

    def _replaceable(self, entry: Path, below: PurePosixPath, known: Known) -> bool:
        if entry.is_symlink():
            return str(below) in self._locals or known.made_link(entry, self.vendor)
        return known.replaceable(entry)
