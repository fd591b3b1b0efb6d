"""The files that a result was made from, and when one of them changes."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

_QUIET = 0.05
"""Seconds in which nothing changes any more: an editor may write a file in several steps, or move it aside first."""

_SHARE = 20
"""For each second of looking, so many of waiting."""

_Stamp = tuple[int, int, int] | None
"""Time, size and inode of a file: an editor may write it, or rename another to its name. None where there is none.

Of a folder, zeros: what is in it does not count.
"""
_FOLDER = (0, 0, 0)


class Inputs:
    """Files that were read, or looked for in vain, each as it was just before; of folders, whether they are there.

    They are asked again and again instead of watched through the system's notifications: those miss what changes
    while they are being set up, behind a symbolic link that is replaced, on network drives, and in mounts of
    containers. To ask a thousand files takes 3 ms.
    """

    def __init__(self) -> None:
        self._stamps: dict[Path, _Stamp] = {}

    def files(self) -> list[Path]:
        """Those that are there."""
        return [path for path, stamp in self._stamps.items() if stamp not in {None, _FOLDER}]

    def note(self, path: Path) -> None:
        """Say that ``path`` is about to be read, or looked for."""
        if path not in self._stamps:
            self._stamps[path] = _stamp(path)

    def changed(self) -> dict[Path, _Stamp]:
        """What is no longer as it was, by path."""
        now = {path: _stamp(path) for path in self._stamps}
        return {path: stamp for path, stamp in now.items() if stamp != self._stamps[path]}

    def wait(self) -> list[Path]:
        """Wait for a change, and until nothing changes any more; returns what changed."""
        before: dict[Path, _Stamp] = {}
        while True:
            start = time.monotonic()
            now = self.changed()
            if now and now == before:
                return sorted(now)
            before = now
            time.sleep(max(_QUIET, _SHARE * (time.monotonic() - start)))


def _stamp(path: Path) -> _Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - Half the time of Path.stat.
    except OSError:
        return None
    return _FOLDER if stat.S_ISDIR(found.st_mode) else (found.st_mtime_ns, found.st_size, found.st_ino)
