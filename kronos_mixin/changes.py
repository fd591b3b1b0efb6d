"""What becomes of a file, or of something on a server."""

from __future__ import annotations

import enum
from pathlib import Path


class Verb(enum.StrEnum):
    """What is done with a thing."""

    add = "add"
    change = "change"
    remove = "remove"
    same = "same"
    keep = "keep"
    """It differs, and is left alone: it is not ours, or somebody has edited it."""


def of_file(path: Path, text: str) -> Verb:
    """What writing ``text`` to ``path`` does. Raises OSError if the file can't be read."""
    if not path.is_file():
        return Verb.add
    return Verb.same if path.read_bytes() == text.encode() else Verb.change
