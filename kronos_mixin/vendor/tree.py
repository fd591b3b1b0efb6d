"""Folders of packages: their sums, and how they are laid out."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import os
import shutil
from pathlib import Path

_EXCHANGE, _HERE = 2, -100
"""RENAME_EXCHANGE and AT_FDCWD of Linux."""


def checksum(folder: Path) -> str:
    """The sum in jb's lock file: a hash over the contents of all files, folder by folder in the order of their names.

    A symbolic link counts as the file it leads to. Where it leads nowhere, or to a folder, jb stops reading and takes
    what it has got; so do we, or the same package would have another sum here.
    """
    digest = hashlib.sha256()

    def walk(path: Path) -> None:
        for entry in sorted(path.iterdir(), key=lambda entry: os.fsencode(entry.name)):
            if entry.is_dir() and not entry.is_symlink():
                walk(entry)
            elif entry.is_file():
                digest.update(entry.read_bytes())
            else:
                raise OSError  # Nor does one end at a device.

    with contextlib.suppress(OSError):
        walk(folder)
    return base64.b64encode(digest.digest()).decode()


def fingerprint(folder: Path) -> str:
    """A hash over names, contents and links, which nothing escapes."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            content = b"link " + os.fsencode(path.readlink())
        else:
            content = b"file " + path.read_bytes() if path.is_file() else b"other"
        for part in (os.fsencode(path.relative_to(folder)), content):
            digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()


def lay(source: Path, target: Path) -> None:
    """Give the files of ``source`` second names below ``target``, whose parents are made, or copy them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, copy_function=_link, dirs_exist_ok=True)
    else:
        _link(source, target)


def remove(path: Path) -> None:
    """Remove a file, a symbolic link, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def exchange(new: Path, old: Path) -> None:
    """Put the folder ``new`` where ``old`` is, and the other way round; nobody ever sees neither.

    A file system that can't, or a folder that is a mount, gets the entries moved one after another.
    """
    if not old.exists():
        new.rename(old)
        new.mkdir()
        return
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    if swap and not swap(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE):
        return
    aside = new.with_name(f"{new.name}.aside")
    aside.mkdir()
    for source, target in ((old, aside), (new, old), (aside, new)):
        for entry in list(source.iterdir()):
            shutil.move(entry, target / entry.name)
    aside.rmdir()


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # Another file system, or one without hard links.
        shutil.copy2(source, target, follow_symlinks=False)
