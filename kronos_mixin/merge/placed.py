"""Rule files that merge has put where a pattern of the configuration finds them: no line there names them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from kronos_mixin.compile import rule_file_names
from kronos_mixin.merge.patterns import Patterns
from kronos_mixin.merge.prometheusyml import MergeError
from kronos_mixin.written import has_header

_LINE = "# Put here by `kronos-mixin merge{}`, and taken away by `kronos-mixin unmerge`."
_LINES = re.compile(r"^# Put here by `kronos-mixin merge(?P<options>[^`]*)`")


def said(options: Sequence[str]) -> str:
    """Options as a comment remembers them. Raises MergeError for those that none can hold."""
    text = "".join(f" {shlex.quote(option)}" for option in options)
    if "`" in text or not text.isprintable():
        raise MergeError(
            f"can't remember `{text.strip()}` in a comment: choose names without backticks and line breaks"
        )
    return text


def marked(text: str, options: Sequence[str]) -> str:
    """The text of a compiled rule file, marked as merge's, with its options if nothing else remembers them."""
    header, newline, rest = text.partition("\n")
    return f"{header}{newline}{_LINE.format(said(options))}\n{rest}"


def placed(patterns: Patterns, name: str) -> list[Path]:
    """The rule files of the mixin ``name`` that these patterns find, and that merge has written."""
    names = rule_file_names(name)
    return [path for path in patterns.files() if path.name in names and _mark(path) is not None]


def options_in(path: Path) -> list[str]:
    """The options that a rule file remembers. Raises MergeError if they were edited."""
    mark = _mark(path)
    try:
        return shlex.split(mark["options"]) if mark else []
    except ValueError as error:
        raise MergeError(f"{path}: the options in its second line can't be read: {error}") from None


def is_ours(path: Path) -> bool:
    """Whether this program has compiled a file."""
    try:
        return has_header(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def _mark(path: Path) -> re.Match[str] | None:
    if not is_ours(path):
        return None
    return _LINES.match(path.read_text(encoding="utf-8").split("\n", 2)[1])
