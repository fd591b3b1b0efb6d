"""Puts a mixin of many files into one expression.

Jsonnet in C++ loads a file again for each folder that it is imported from, each time with the whole standard library:
most of the time that our mixin takes. So its files become locals, which import each other by name.

Only what is sure to mean the same is done; everything else is left to the engine.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

_LOCAL = "__file"
_UNMOVABLE = ("import", "importbin", "importstr", "thisFile", "trace")
"""Words that lead to other files in other ways, or tell where they stand."""
_SPACE = r"(?: \s++ | //[^\n]*+ | \#[^\n]*+ | /\*.*?\*/ )"
_TOKEN = re.compile(
    rf"""
    # All that stays as it is, in one go.
    (?P<plain> (?:
        {_SPACE}
        | \|\|\|-?+ [ \t\r]*\n (?:[ \t\r]*\n)*+ (?P<indent>[ \t]++)[^\n]*\n
          (?: (?P=indent)[^\n]*\n | [ \t\r]*\n )*+ [ \t]*+\|\|\|
        | @"(?:[^"]|"")*+" | @'(?:[^']|'')*+' | "(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+'
        | (?! (?:{"|".join(_UNMOVABLE)})\b | {_LOCAL} ) [A-Za-z_]\w*+
        | (?!\|\|\||/\*) [^"'@()\[\]{{}}A-Za-z_]
    )++ )
    # What follows must leave it an operand by itself.
    | import\b {_SPACE}*+ (?P<import> "[^"\\]*+" | '[^'\\]*+' ) (?= {_SPACE}*+ (?: [)\]}},;] | \Z ))
    | (?P<bracket> [()\[\]{{}}] )
    """,
    re.DOTALL | re.VERBOSE,
)
_OPENING = {")": "(", "]": "[", "}": "{"}


class _UnsureError(Exception):
    """It may mean something else once it has been moved."""


def inlined(file: Path, read: Callable[[str, str], tuple[str, bytes]]) -> str | None:
    """An expression like ``import "file"``, without any import; None where that is not certain to be the same.

    ``read`` is the import callback of the engines. A file imports only from its folder and below.
    """
    names: dict[str, str] = {}
    made: dict[str, str] = {}

    def visit(folder: str, name: str) -> str:
        path, content = read(folder, name)
        if os.path.relpath(path, file.parent).startswith(".."):
            raise _UnsureError
        if path not in names:
            names[path] = f"{_LOCAL}{len(names)}"
            made[path] = "".join(_moved(content.decode(), lambda name: visit(str(Path(path).parent), name)))
        return names[path]

    try:
        first = visit(str(file.parent), file.name)
    except (_UnsureError, RuntimeError, UnicodeDecodeError):
        return None
    # The locals of one statement know each other, as files do that import each other.
    return "(local " + ",\n".join(f"{names[path]} = (\n{text}\n)" for path, text in made.items()) + f"; {first})"


def _moved(text: str, visit: Callable[[str], str]) -> Iterator[str]:
    """The tokens of a file, with `visit`'s name of each imported file in place of its import."""
    opened: list[str] = []
    place = 0
    while place < len(text):
        if not (found := _TOKEN.match(text, place)):
            raise _UnsureError
        place, kind, token = found.end(), found.lastgroup, found[0]
        # In parentheses a file is what it was by itself only if its own brackets match.
        if kind == "bracket" and token not in _OPENING:
            opened.append(token)
        elif kind == "bracket" and (not opened or opened.pop() != _OPENING[token]):
            raise _UnsureError
        yield visit(found["import"][1:-1]) if kind == "import" else token
    if opened:
        raise _UnsureError
