"""One difference between a mixin and a server, and how to remove it."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kronos_mixin.changes import Verb


class PushError(Exception):
    """A mixin can't be pushed as it is; the message says why."""


@dataclass(frozen=True)
class Step:
    """What to do with one thing on a server. `before` and `after` are its texts there, empty if it is not there.

    `key` names it among all on that server. `make` does it, and raises AnswerError; None: there is nothing to do.
    """

    verb: Verb
    key: str
    what: str
    reason: str = ""
    before: str = ""
    after: str = ""
    make: Callable[[], None] | None = None

    def diff(self) -> list[str]:
        """The lines of a unified diff."""
        old, new = self.before.splitlines(), self.after.splitlines()
        return [line.rstrip("\n") for line in difflib.unified_diff(old, new, "there", "mixin", n=2)]


@dataclass(frozen=True)
class Mark:
    """What a push leaves behind on all that it writes: the mixin's name, and a digest of what was written."""

    mixin: str
    digest: str

    def __str__(self) -> str:
        return f"kronos-mixin {self.mixin} {self.digest}"

    @classmethod
    def of(cls, mixin: str, data: Any) -> Mark:
        """The mark on `data`."""
        text = json.dumps(data, sort_keys=True, ensure_ascii=False)
        return cls(mixin, hashlib.sha256(text.encode()).hexdigest()[:16])

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """The mark that `text` is; None if it is none."""
        found = re.fullmatch(r"kronos-mixin (.+) ([0-9a-f]{16})", text.strip())
        return cls(found[1], found[2]) if found else None
