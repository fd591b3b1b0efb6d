"""The patterns by which a configuration names files, as Prometheus expands them."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Patterns:
    """Patterns of a configuration in the folder ``base``, which they are relative to."""

    base: Path
    patterns: Sequence[str]

    @classmethod
    def of(cls, config: Path, *lists: Any) -> Patterns:
        """Those in ``lists``, whatever else stands there."""
        entries = (entry for value in lists if isinstance(value, list) for entry in value)
        return cls(config.absolute().parent, [entry for entry in entries if isinstance(entry, str)])

    def files(self) -> Iterator[Path]:
        """What they find here, once for each pattern that finds it."""
        for pattern in self.patterns:
            yield from map(Path, sorted(_found(self._absolute(pattern))))

    def covering(self, path: Path) -> str | None:
        """The first pattern that finds the file ``path``, whether or not it is there already."""
        return next((pattern for pattern in self.patterns if _finds(self._absolute(pattern), path)), None)

    def see(self, folder: Path, names: tuple[str, ...]) -> bool:
        """Whether one of them finds the entry ``names`` below ``folder``, whichever name it has for the folder.

        The server may have other folders than this machine, as in a container: a folder of the same last name counts.
        """
        for pattern in self.patterns:
            head, tails = self._absolute(pattern), list[str]()
            for _ in names:
                head, tail = os.path.split(head)
                tails.insert(0, tail)
            if all(map(_matches, names, tails)):
                if folder.resolve() in _resolved(head):
                    return True
                if os.path.basename(head) == folder.name:  # noqa: PTH119
                    return True
        return False

    def _absolute(self, pattern: str) -> str:
        return os.path.normpath(self.base / pattern)


def _finds(pattern: str, path: Path) -> bool:
    if path.exists() or path == path.parent:
        return path.resolve() in _resolved(pattern)
    head, tail = os.path.split(pattern)
    return _matches(path.name, tail) and _finds(head, path.parent)


def _found(pattern: str) -> Iterable[str]:
    return glob.glob(_python(pattern), include_hidden=True)  # noqa: PTH207


def _resolved(pattern: str) -> set[Path]:
    return {Path(found).resolve() for found in _found(pattern)}


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, _python(pattern))


def _python(pattern: str) -> str:
    """A pattern of Go's filepath.Match as Python writes it: `[^a]` is `[!a]`, and `\\*` is `[*]`."""
    return re.sub(r"\\(.)", r"[\1]", pattern).replace("[^", "[!")
