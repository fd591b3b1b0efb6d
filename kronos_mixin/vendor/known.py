"""Tells what this program, or jb, has laid into vendor/ from somebody's own work there."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from pathlib import Path

from kronos_mixin.cache import cache
from kronos_mixin.vendor.git import is_committed, past
from kronos_mixin.vendor.jsonnetfile import Jsonnetfile
from kronos_mixin.vendor.source import Local
from kronos_mixin.vendor.tree import checksum, fingerprint


class Known:
    """What is known by the lock and its past, by the cache of earlier runs, or by a commit."""

    def __init__(self, file: Path, lock: Jsonnetfile) -> None:
        """``file`` is that of the lock: somebody may have pulled a newer one than what lies in vendor/."""
        self._file = file
        self._sums = {dependency.sum for dependency in lock.dependencies.values()}
        self._links = {name for name, entry in lock.dependencies.items() if isinstance(entry.source, Local)}
        self._folder = cache() / "packages"

    def remember(self, folder: Path) -> None:
        """Keep the fingerprint of a package for later runs, which may find another lock."""
        with contextlib.suppress(OSError):  # Then more is taken for somebody's own.
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / fingerprint(folder)).touch()

    def replaceable(self, folder: Path) -> bool:
        """Whether nobody loses work if ``folder`` goes."""
        if folder.is_symlink() or not folder.is_dir():
            return False
        if (self._folder / fingerprint(folder)).exists() or is_committed(folder):
            return True
        if any(path.is_symlink() for path in folder.rglob("*")):
            return False  # jb's sum may have stopped there.
        digest = checksum(folder)
        return digest in self._sums or digest in self._past_sums

    @functools.cached_property
    def _past_sums(self) -> set[str]:
        return set(re.findall(r'"sum": "([^"]+)"', past(self._file)))

    def made_link(self, link: Path, vendor: Path) -> bool:
        """Whether a link in ``vendor`` was made for a local folder, or as the short name of a package."""
        inside = not os.path.relpath(link.parent / link.readlink(), vendor).startswith("..")
        return link.parent == vendor and (inside or link.name in self._links)
