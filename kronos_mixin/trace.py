"""Turns Jsonnet's stack traces into readable errors: the problem, its place, and a hint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kronos_mixin import native

SNIPPET = "(command line)"
"""The file name of the code that this tool wraps around a mixin; messages leave it out."""

# `file:line:column-...` or `file:(line:column)-(line:column)`, then the code at that place.
_FRAME = re.compile(r"^\t(?P<file>[^\t]+?):\(?(?P<line>\d+):(?P<column>\d+)[^\t]*(?:\t(?P<what>.*))?$")
_STATIC = re.compile(r"^(?P<file>.+?):\(?(?P<line>\d+):(?P<column>\d+)(?:-[\d:()-]+)?\)?: (?P<reason>.*)$", re.DOTALL)

_HINTS = (
    (
        r"couldn't open import",
        "install its libraries into vendor/ (`kronos-mixin install`), or name their folder: --jpath DIR",
    ),
    (
        r"function parameter \w+ not bound|Missing argument",
        "a mixin that is a function gets its arguments by --tla-str NAME=VALUE or --tla-code NAME=CODE",
    ),
    (
        r"undefined external variable|Undefined external variable",
        "give it: --ext-str NAME=VALUE, or --ext-code NAME=CODE",
    ),
    (
        r"max stack frames exceeded",
        "two files import each other, or two fields are defined by each other",
    ),
    (
        r"field does not exist|Field does not exist",
        "a name is misspelt, or an object replaces one that it should extend: write `field+:`, not `field:`",
    ),
    (
        r"only functions can be called, got null",
        "if it is a native function (`std.native`), this program does not have it; there are "
        + ", ".join(native.FUNCTIONS),
    ),
    (r"couldn't manifest function", "a function stands where data should: call it, or hide the field with `::`"),
    (
        r"Format required|Not enough values to format|Too many values to format",
        "the `%` of a text does not fit its values",
    ),
    (r"Unknown variable", "define it with `local`, or quote it if it is a text"),
    (r"^unexpected: |^expected |^Expected ", "look for a comma or bracket that is missing on the line before"),
)


@dataclass(frozen=True, slots=True)
class _Frame:
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def readable(message: str, libraries: Sequence[Path] = ()) -> str:
    """Make a message of a stack trace.

    It begins with the innermost place outside the standard library. If that is in one of ``libraries``, the place in
    the user's own code that led there follows. Then come the code at that place, and a hint.
    """
    text = re.sub(r"^(RUNTIME|STATIC) ERROR: ", "", message.strip("\n "))
    if static := _STATIC.match(text) if message.startswith("STATIC ERROR") else None:
        frames, reason = [_Frame(static["file"], int(static["line"]))], static["reason"]
    else:
        frames, reason = _frames(text)
    frames = [frame for frame in frames if Path(frame.file).name != SNIPPET]
    lines = [f"{frames[0]}: {reason}" if frames else reason]
    own = next((frame for frame in frames if not _within(frame, libraries)), None)
    shown = own or next(iter(frames), None)
    if own and own != frames[0]:
        lines.append(f"  reached from {own}")
    if shown and (code := _code(shown)):
        lines.append(f"  | {code}")
    if "couldn't open import" in reason and libraries:
        lines.append(f"  searched beside the file and in {', '.join(map(str, reversed(libraries)))}")
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, reason)), None)
    if hint:
        lines.append(f"  hint: {hint}")
    return "\n".join(lines)


def _frames(text: str) -> tuple[list[_Frame], str]:
    """The frames outside the standard library, innermost first, and the reason, which may span several lines."""
    reason: list[str] = []
    frames: list[_Frame] = []
    for line in text.split("\n"):
        if match := _FRAME.match(line):
            if match["file"] != "std.jsonnet":
                frames.append(_Frame(match["file"], int(match["line"])))
        elif not frames and not line.startswith("\t"):
            reason.append(line)
    return frames, "\n".join(reason)


def _within(frame: _Frame, libraries: Sequence[Path]) -> bool:
    # Not resolved: a file linked into vendor/ counts as a library, wherever the link leads.
    path = Path(frame.file).absolute()
    return any(path.is_relative_to(folder.absolute()) for folder in libraries)


def _code(frame: _Frame) -> str | None:
    try:
        return Path(frame.file).read_text(encoding="utf-8").splitlines()[frame.line - 1].strip() or None
    except (OSError, UnicodeDecodeError, IndexError):
        return None
