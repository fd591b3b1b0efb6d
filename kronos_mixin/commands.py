"""Commands of this program, as messages show them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def command(*arguments: object) -> str:
    """What the user would type: `python build.py` where that is what they typed, `kronos-mixin` elsewhere."""
    program = "python build.py" if Path(sys.argv[0]).name == "build.py" else "kronos-mixin"
    return f"{program} {shlex.join(map(str, arguments))}".rstrip()


def each(option: str, values: Iterable[object]) -> Iterator[str]:
    """An option that may be repeated, once for each value."""
    for value in values:
        yield from (option, str(value))
