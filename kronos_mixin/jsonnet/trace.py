"""Turns Jsonnet's stack traces into readable errors: the problem, its place, and a hint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kronos_mixin.jsonnet import native
from kronos_mixin.jsonnet.reasons import common, common_static

SNIPPET = "(command line)"
"""The file name of the code that this tool wraps around a mixin; messages leave it out."""

# `file:line:column-...` or `file:(line:column)-(line:column)`.
_PLACE = r"(?P<file>[^\t\n]+?):\(?(?P<line>\d+):(?P<column>\d+)\)?(?:-[\d:()]+)?"
_FRAME = re.compile(rf"^\t{_PLACE}(?:\t(?P<what>.*))?$")
# C++ says STATIC ERROR and has a colon, Go neither.
_STATIC = re.compile(rf"^(?P<static>STATIC)?(?:RUNTIME)? ERROR: {_PLACE}:? (?P<reason>.*)")
# Where the output is not what it must be, Go tells the path to it, the innermost step first.
_STEP = re.compile(r'^\t(?:Field "(?P<field>.*)"|Array element (?P<index>\d+))\t?$')
_STANDARD = {"std.jsonnet", "<std>", "<builtin>"}

_HINTS = (
    (
        r"couldn't open import .*: no match",
        "install its libraries into vendor/ (`kronos-mixin install`), or name their folder: --jpath DIR",
    ),
    (
        r"^missing argument|^function has no parameter",
        "a mixin that is a function gets its arguments by --tla-str NAME=VALUE or --tla-code NAME=CODE",
    ),
    (
        r"undefined external variable",
        "give it: --ext-str NAME=VALUE, or --ext-code NAME=CODE",
    ),
    (
        r"max stack frames exceeded",
        "two files import each other, or two fields are defined by each other",
    ),
    (
        r"field does not exist",
        "a name is misspelt, or an object replaces one that it should extend: write `field+:`, not `field:`",
    ),
    (
        r"unexpected type null, expected function",
        "if it is a native function (`std.native`), this program does not have it; there are "
        + ", ".join(native.FUNCTIONS),
    ),
    (r"couldn't manifest function", "a function stands where data should: call it, or hide the field with `::`"),
    (
        r"Format required|Not enough values to format|Too many values to format",
        "the `%` of a text does not fit its values",
    ),
    (r"unknown variable", "define it with `local`, or quote it if it is a text"),
    (
        r":\d+: (?:unexpected: |expected a comma|expected token)",
        "look for a comma or bracket that is missing on the line before",
    ),
)


@dataclass(frozen=True, slots=True, order=True)
class _Frame:
    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Trace:
    """What is wrong, and where: ``frames`` outside the standard library, innermost first.

    ``steps`` lead to the place in the output that was being written, where that is told. The places of static errors
    and of data that is none are not told by all.
    """

    reason: str
    frames: Sequence[_Frame]
    steps: Sequence[str]
    libraries: Sequence[Path]

    @property
    def own(self) -> _Frame | None:
        """The innermost place in the user's own code."""
        return next((frame for frame in self.frames if not _within(frame, self.libraries)), None)

    def __str__(self) -> str:
        """A message that begins with the innermost place.

        If that is in a library, the place in the user's own code that led there follows. Then come the code at that
        place, and a hint.
        """
        lines = [f"{self.frames[0]}: {self.reason}" if self.frames else self.reason]
        own = self.own
        shown = own or next(iter(self.frames), None)
        if own and own != self.frames[0]:
            lines.append(f"  reached from {own}")
        elif self.frames and self.steps and not own:
            lines.append(f"  reached from {', '.join(self.steps)} of the output")
        if shown and (code := "".join(_lines(shown)[shown.line - 1 : shown.line]).strip()):
            lines.append(f"  | {code}")
        if "couldn't open import" in self.reason and self.libraries:
            lines.append(f"  searched beside the file and in {', '.join(map(str, reversed(self.libraries)))}")
        if hint := next((hint for pattern, hint in _HINTS if re.search(pattern, lines[0])), None):
            lines.append(f"  hint: {hint}")
        return "\n".join(lines)


def parsed(message: str, libraries: Sequence[Path] = ()) -> Trace:
    """What an implementation of Jsonnet says, the same for all of them; ``libraries`` are folders of other people."""
    if static := _static(message):
        trace = Trace(common_static(static["reason"]), [_frame(static)], [], libraries)
    else:
        trace = _parsed(message.strip("\n ").removeprefix("RUNTIME ERROR: "), libraries)
    return replace(trace, frames=[frame for frame in trace.frames if Path(frame.file).name != SNIPPET])


def _static(message: str) -> re.Match[str] | None:
    """Whether a file is no Jsonnet; an error that a program raises may begin with a place as well."""
    match = _STATIC.match(message)
    return match if match and (match["static"] or Path(match["file"]).is_file()) else None


def _parsed(text: str, libraries: Sequence[Path]) -> Trace:
    said: list[str] = []
    frames: list[_Frame] = []
    steps: list[str] = []
    for line in text.split("\n"):
        if match := _FRAME.match(line):
            if match["file"] not in _STANDARD:
                frames.append(
                    _assertion(_frame(match), text) if match["what"] == "thunk <object_assert>" else _frame(match)
                )
        elif match := _STEP.match(line):
            steps.insert(0, match["field"] or f"item {match['index']}")
        elif not line.startswith("\t"):
            said.append(line)
    reason = common("\n".join(said))
    if reason == "couldn't manifest function":
        frames, reason = [], f"{reason}: {', '.join(steps)}"
    if reason == "max stack frames exceeded":
        # How deep it was by then differs. A place on the circle is as good as any other.
        frames = [*sorted(frame for frame in set(frames) if frames.count(frame) > 1)[:1], *frames]
    return Trace(reason, frames, steps, libraries)


def _frame(match: re.Match[str]) -> _Frame:
    return _Frame(match["file"], int(match["line"]), int(match["column"]))


def _assertion(frame: _Frame, text: str) -> _Frame:
    """The `assert` itself, where C++ names the message or, without one, the condition."""
    *lines, last = _lines(frame)[: frame.line] or [""]
    before = "\n".join([*lines, last[: frame.column - 1]]).rstrip()
    start = before.rfind("assert")
    if start >= 0 and (before.endswith(":") or text.startswith("Object assertion failed.")):
        return _Frame(frame.file, before.count("\n", 0, start) + 1, start - before.rfind("\n", 0, start))
    return frame


def _within(frame: _Frame, libraries: Sequence[Path]) -> bool:
    # Not resolved: a file linked into vendor/ counts as a library, wherever the link leads.
    path = Path(frame.file).absolute()
    return any(path.is_relative_to(folder.absolute()) for folder in libraries)


def _lines(frame: _Frame) -> list[str]:
    try:
        return Path(frame.file).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return []
