"""Writes several files: all or none. Owners and modes are kept."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_PREFIX, _SUFFIX = ".kronos-mixin.", ".tmp"
_MOUNTED = {errno.EBUSY, errno.EXDEV}
"""What rename() says of a file that is a mount of its own, as containers have it."""


class UndoError(Exception):
    """Some of a change could not be undone; the message has what, one line each."""


@dataclass(slots=True)
class _Change:
    target: Path
    new: Path | None
    """The complete new content; None: remove the target."""
    old: Path | None = None
    """A second name, or a copy, of the old content, from the commit on."""
    done: bool = False


@dataclass(slots=True)
class Transaction:
    """Changes to files: prepared by `write` and `remove`, made by `commit`, reverted by `undo`.

    New content is first written and synced out of sight, so that a full disk or a missing permission shows before
    anything has changed; then each file is replaced atomically, or overwritten where it is a mount of its own. The
    old content keeps a second name until the end, so `undo` needs no space. As a context manager it cleans up, and
    reverts everything on an exception, Ctrl-C included. Every method raises OSError, about the file that was meant.

    ``seen`` says of a folder and the names of an entry below it whether somebody who reads files by patterns would
    find it: unfinished files are then kept further up.
    """

    seen: Callable[[Path, tuple[str, ...]], bool] = lambda _folder, _names: False
    _changes: list[_Change] = field(default_factory=list)
    _folders: list[Path] = field(default_factory=list)
    _stages: dict[Path, Path] = field(default_factory=dict)
    _locks: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def write(self, path: Path, content: bytes, like: Path | None = None) -> None:
        """Prepare to write ``content``, unless ``path`` has it already. Symbolic links are followed.

        Owner and mode are kept. A new file gets those of ``like``, and new folders those of the folder that is in,
        so that whoever reads the one can read the other; without it, the usual ones.
        """
        target = path.resolve()
        if target.is_file() and target.read_bytes() == content:
            return
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder where a file should be", str(path))
        self._make(target.parent, like)
        with _about(target):
            descriptor, name = tempfile.mkstemp(dir=self._stage(target.parent))
            self._changes.append(_Change(target, Path(name)))
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                _dress(file.fileno(), target, like)
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
                with _about(change.target):
                    change.old = self._second_name(change.target)
                    change.done = True
                    if change.new is None:
                        change.target.unlink()
                    else:
                        _put(change.new, change.target)
            for folder in {change.target.parent for change in self._changes}:
                _sync(folder)
        except BaseException:
            self.undo()
            raise

    def undo(self) -> None:
        """Revert what was committed. Every file is the original again, not a copy, unless it was overwritten.

        Goes on where a step fails, and then raises UndoError.
        """
        stuck = []
        for change in reversed(self._changes):
            if not change.done:
                continue
            try:
                if change.old is None:
                    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                        change.target.unlink()
                else:
                    _put(change.old, change.target)
                    # rename() does nothing if both names are still links to the same file.
                    change.old.unlink(missing_ok=True)
            except OSError as error:
                held = "" if change.old is None else f"; its old content is in {self._keep(change.old)}"
                stuck.append(f"{change.target}: {error.strerror or error}{held}")
            change.old, change.done = None, False
        self._remove_folders()
        if stuck:
            raise UndoError("\n".join(stuck))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove temporary files; on an exception, revert everything first."""
        stuck = None
        if kind is not None:
            try:
                self.undo()
            except UndoError as failed:
                stuck = failed
        for change in self._changes:
            for leftover in (change.new, change.old):
                if leftover is not None:
                    with contextlib.suppress(OSError):
                        leftover.unlink(missing_ok=True)
        for stage in self._stages.values():
            with contextlib.suppress(OSError):  # It holds what could not be put back.
                stage.rmdir()
        self._locks.close()
        if not any(change.done for change in self._changes):
            self._remove_folders()
        if stuck is not None:
            raise stuck from error

    def _make(self, folder: Path, like: Path | None) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._folders.append(path)
            if like is not None:
                beside = like.resolve().parent.stat()
                with contextlib.suppress(OSError):
                    os.chown(path, beside.st_uid, beside.st_gid)
                # Not the write permission for all of a folder such as /tmp.
                path.chmod(stat.S_IMODE(beside.st_mode) & 0o2775 | 0o700)

    def _remove_folders(self) -> None:
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):  # Others may have put files there.
                folder.rmdir()

    def _stage(self, folder: Path) -> Path:
        """A folder for unfinished files, on the file system of ``folder``, where nobody looks."""
        if folder in self._stages:
            return self._stages[folder]
        refused: OSError | None = None
        for place in _places(folder):
            sweep(place)
            name = f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}"
            if self.seen(place, (name,)) or self.seen(place, (name, "x")):
                continue
            stage = place / name
            try:
                stage.mkdir(mode=0o700)
            except OSError as error:
                refused = refused or error
                continue
            self._stages[folder] = stage
            self._locks.enter_context(locked(stage))
            return stage
        raise refused or OSError(errno.EACCES, "no folder near it is out of sight of the patterns of rule_files")

    def _keep(self, old: Path) -> Path:
        """Put ``old`` where no later run tidies it up; returns its new path."""
        kept = old.parent.with_suffix(".kept")
        kept.mkdir(mode=0o700, exist_ok=True)
        return old.rename(kept / old.name)

    def _second_name(self, path: Path) -> Path | None:
        """Make another name for the content of ``path``; None if it does not exist."""
        if not path.exists() and not path.is_symlink():
            return None
        stage = self._stage(path.parent)
        name = stage / f"old-{len(list(stage.iterdir()))}-{path.name}"
        try:
            os.link(path, name, follow_symlinks=False)
        except OSError:  # A mount of its own, or a file system without hard links.
            shutil.copy2(path, name, follow_symlinks=False)
        return name


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file or folder of ours, so that `sweep` knows that it is in use."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # Not every file system has locks.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch(folder: Path, text: str) -> Iterator[Path]:
    """A file in ``folder`` that holds ``text`` and has a name that no pattern for configurations finds."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=folder, prefix=_PREFIX, suffix=_SUFFIX
    ) as file:
        file.write(text)
        file.flush()
        with locked(Path(file.name)):
            yield Path(file.name)


@contextlib.contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """A new folder in ``folder`` to prepare things in, which is removed in the end, or by the next run."""
    sweep(folder)
    place = folder / f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}"
    place.mkdir(mode=0o700)
    try:
        with locked(place):
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed runs left in ``folder``, unless another run is using it."""
    for leftover in folder.glob(f"{_PREFIX}????????{_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            finally:
                os.close(descriptor)


def _places(folder: Path) -> Iterator[Path]:
    """``folder`` and those around it, as far as they are on one file system."""
    device = folder.stat().st_dev
    for place in (folder, *folder.parents):
        if place.stat().st_dev != device:
            return
        yield place


@contextlib.contextmanager
def _about(target: Path) -> Iterator[None]:
    """Let an OSError name the file that was meant, and not a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error


def _put(content: Path, target: Path) -> None:
    """Replace ``target`` by the file ``content``; overwrite it where that is not possible."""
    try:
        content.replace(target)
    except OSError as error:
        if error.errno not in _MOUNTED:
            raise
        with target.open("r+b") as file:
            file.write(content.read_bytes())
            file.truncate()
            file.flush()
            os.fsync(file.fileno())


def _dress(descriptor: int, target: Path, like: Path | None) -> None:
    """Give a new file the owner, mode and extended attributes of the one that it will replace, else of ``like``."""
    model = target if target.exists() else like
    if model is None:
        os.fchmod(descriptor, 0o644)
        return
    old, new = model.stat(), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError as error:
            if model is target:
                text = f"belongs to user {old.st_uid}, group {old.st_gid}, which only they or root can keep"
                raise PermissionError(error.errno, text, str(target)) from None
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & (0o7777 if model is target else 0o666))
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):
            for name in os.listxattr(model):
                with contextlib.suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(model, name))


def _sync(folder: Path) -> None:
    """Make sure that renames survive a power cut."""
    with contextlib.suppress(OSError):  # Not every system can open a folder.
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
