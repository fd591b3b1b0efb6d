"""What was written into a folder, and for which mixin: headers of files, and a list of files with their sums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

_HEADER = "# Compiled from the mixin {} by kronos-mixin. Don't edit: change the mixin, or its configuration.\n"
_HEADERS = re.compile(
    r"# Compiled from (?:the mixin (?P<mixin>.*) by kronos-mixin|.*)\. "
    r"Don't edit: change the mixin, or its configuration\.\n"
)
_ORIGIN = "# From "
_MANIFEST_HEADER = (
    "# What `kronos-mixin compile` wrote here. It removes these when they are left over, and nothing else.\n"
)


def header(name: str) -> str:
    """The first line of every YAML file that is compiled from the mixin ``name``."""
    return _HEADER.format(name)


def has_header(text: str) -> bool:
    """Whether this program, in any version, wrote a file that begins with ``text``."""
    return _HEADERS.match(text) is not None


def manifest(output: Path, name: str = "kronos") -> dict[str, str]:
    """What was compiled from the mixin ``name`` into ``output``: paths relative to it, with their hashes.

    In the format of sha256sum, so `sha256sum --check` finds what was edited.
    """
    pairs = (line.partition("  ") for line in _lines(output, name) if not line.startswith("#"))
    # A path that leads out of the folder can only come from somebody else's hand.
    return {path: digest for digest, _, path in pairs if path and ".." not in Path(path).parts and path[0] != "/"}


def listing(files: Mapping[str, str], output: Path, source: Path | None = None) -> str:
    """The list of ``files`` below ``output``, compiled from the mixin in ``source``."""
    origin = "" if source is None else f"{_ORIGIN}{_origin(output, source)}\n"
    lines = (f"{hash_of(text.encode())}  {path}\n" for path, text in sorted(files.items()))
    return f"{_MANIFEST_HEADER}{origin}{''.join(lines)}"


def refuse_others(files: Mapping[str, str], output: Path, name: str, source: Path | None = None) -> None:
    """Raise FileExistsError if a file that is about to be written is somebody else's.

    So is all of another mixin that has the same name: ``source`` is where this one is.
    """
    there = _lines(output, name)
    before = next((line.removeprefix(_ORIGIN) for line in there if line.startswith(_ORIGIN)), None)
    if before is not None and source is not None and before != (now := _origin(output, source)):
        reason = (
            f"says that {name} was compiled from {before}, and now it is {now}: give one of them another --name or "
            "--output, or remove this file if the mixin has moved"
        )
        raise FileExistsError(errno.EEXIST, reason, str(list_path(output, name)))
    others = {path: by for by in _mixins_in(output) - {name} for path in manifest(output, by)}
    known = manifest(output, name)
    for path, text in files.items():
        by = others.get(path) or _author(output / path)
        if by and by != name:
            reason = f"is of the mixin {by}, and {name} would replace it: give one of them another --name or --output"
        elif path not in known and not by and _foreign(output / path, text):
            reason = "is there and was not written by this program: move it away, or choose another --output"
        else:
            continue
        raise FileExistsError(errno.EEXIST, reason, str(output / path))


def _mixins_in(output: Path) -> set[str]:
    """The mixins that were compiled into a folder, by name."""
    return {path.name.removesuffix(".sha256") for path in output.glob("*.sha256")}


def _author(path: Path) -> str:
    """The mixin whose name is in the header of a file; empty without one."""
    try:
        with path.open(encoding="utf-8") as file:
            found = _HEADERS.match(file.readline())
    except (OSError, UnicodeDecodeError):
        return ""
    return found["mixin"] if found else ""


def _foreign(path: Path, text: str) -> bool:
    """Whether a file that is about to be replaced, and is in no manifest, is somebody else's."""
    try:
        old = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False  # Writing will say what is wrong.
    except UnicodeDecodeError:
        return True
    if old == text:
        return False
    try:
        uid = json.loads(old)["uid"]
    except (ValueError, TypeError, KeyError):
        return True
    # The same uid: to Grafana an older version of the same dashboard.
    return not uid or json.loads(text).get("uid") != uid


def list_path(output: Path, name: str) -> Path:
    """Where the list of what was compiled from the mixin ``name`` is."""
    return output / f"{name}.sha256"


def hash_of(content: bytes) -> str:
    """The sum of a file in the list."""
    return hashlib.sha256(content).hexdigest()


def _lines(output: Path, name: str) -> list[str]:
    try:
        return list_path(output, name).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _origin(output: Path, source: Path) -> str:
    """The place of a mixin, relative to the folder: both may move together."""
    return Path(os.path.relpath(source.resolve(), output.resolve())).as_posix()
