"""Writes several files atomically: all or none. Owners and modes are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

# Globs such as *.yml and *.json must not find unfinished files.
_SUFFIX = ".kronos-mixin.tmp"


@dataclass(slots=True)
class _Change:
    target: Path
    new: Path | None
    """The complete new content; None: remove the target."""
    old: Path | None = None
    """A second name of the old content, from the commit on."""
    done: bool = False


@dataclass(slots=True)
class Transaction:
    """Changes to files: prepared by `write` and `remove`, made by `commit`, reverted by `undo`.

    New content is first written and synced beside its target, so that a full disk or a missing permission shows
    before anything has changed; then each file is replaced atomically. The old content keeps a second name until the
    end, so `undo` needs no space. As a context manager it cleans up, and reverts everything on an exception, Ctrl-C
    included. Every method raises OSError.
    """

    _changes: list[_Change] = field(default_factory=list)
    _folders: list[Path] = field(default_factory=list)

    def write(self, path: Path, content: bytes, like: Path | None = None) -> None:
        """Prepare to write ``content``, unless ``path`` has it already. Symbolic links are followed.

        Owner and mode are copied from ``like``, else from the old file; a new file gets the usual ones.
        """
        target = path.resolve()
        if target.is_file() and target.read_bytes() == content:
            return
        if target.is_dir():
            raise IsADirectoryError(21, "is a folder where a file should be", str(path))
        self._make(target.parent)
        sweep(target)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=_SUFFIX)
        self._changes.append(_Change(target, Path(name)))
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            _like(like or target, file.fileno())
            file.flush()
            os.fsync(file.fileno())

    def remove(self, path: Path) -> None:
        """Prepare to remove ``path``; of a symbolic link, the link itself."""
        self._changes.append(_Change(path.parent.resolve() / path.name, None))

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._changes)

    def commit(self) -> None:
        """Make all changes, in the order in which they were prepared; on an error, revert them."""
        try:
            for change in self._changes:
                change.old = _second_name(change.target)
                change.done = True
                if change.new is None:
                    change.target.unlink()
                else:
                    change.new.replace(change.target)
            for folder in {change.target.parent for change in self._changes}:
                _sync(folder)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Revert what was committed. Every file is the original again, not a copy."""
        for change in reversed(self._changes):
            if not change.done:
                continue
            if change.old is not None:
                change.old.replace(change.target)
                # rename() does nothing if both names are still links to the same file.
                change.old.unlink(missing_ok=True)
                change.old = None
            else:
                change.target.unlink(missing_ok=True)
            change.done = False
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):  # Others may have put files there.
                folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove temporary files; on an exception, revert everything first."""
        if kind is not None:
            self.undo()
        for change in self._changes:
            for leftover in (change.new, change.old):
                if leftover is not None:
                    with contextlib.suppress(OSError):
                        leftover.unlink(missing_ok=True)
        if not any(change.done for change in self._changes):
            for folder in reversed(self._folders):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _make(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._folders.append(path)


def sweep(target: Path, backups: bool = False) -> None:
    """Remove what killed runs left beside ``target``, and with ``backups`` beside its backups."""
    random = "*" if backups else "????????"  # As tempfile names them.
    for leftover in target.parent.glob(f".{_escaped(target.name)}.{random}{_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _second_name(path: Path) -> Path | None:
    """Make another name for the content of ``path``; None if it does not exist."""
    if not path.exists() and not path.is_symlink():
        return None
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX) as free:
        name = Path(free.name)
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError:  # A file system without hard links.
        shutil.copy2(path, name, follow_symlinks=False)
    return name


def _like(target: Path, descriptor: int) -> None:
    """Give a new file the owner, mode and extended attributes of the one that it will replace."""
    try:
        old = target.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError as error:
            text = f"belongs to user {old.st_uid}, group {old.st_gid}, which only they or root can keep"
            raise PermissionError(error.errno, text, str(target)) from None
    os.fchmod(descriptor, old.st_mode & 0o7777)
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(target):
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(target, name))


def _sync(folder: Path) -> None:
    """Make sure that renames survive a power cut."""
    with contextlib.suppress(OSError):  # Not every system can open a folder.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
