"""Matchers of Alertmanager, in all of their spellings."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Labels = Mapping[str, str]

_CLASSIC = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL)
_CLASSIC_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}

# In the UTF-8 syntax names may be quoted, too, and without quotes they hold anything but what is reserved.
_WORD = r'"(?:[^"\\\n]|\\.)*"|[^\s{}!=~,\\"\'`]+'
_UTF8 = re.compile(rf"\s*(?P<name>{_WORD})\s*(?P<operator>=~|!=|!~|=)\s*(?P<value>{_WORD})\s*(?:,|$)")

# What RE2 spells in another way than Python; any other escape is there to be skipped.
_RE2 = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|$)|(?P<end>\\z)|(?P<lacking>\\[pPC]|\\x\{)|\\.|\[:(?P<posix>\^?\w+):\]", re.DOTALL
)
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label. A label that is not there is empty."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Labels) -> bool:
        """Whether labels fulfil it. Raises ValueError for a regular expression that this program can't read."""
        found = labels.get(self.label, "")
        if self.operator in {"=", "!="}:
            return (found == self.value) == (self.operator == "=")
        return (pattern(self.value).fullmatch(found) is not None) == (self.operator == "=~")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{value}"'


def parse(text: str) -> tuple[Matcher, ...]:
    """Parse one matcher, or several with commas between them, in braces or not.

    As in Alertmanager's default mode, what the classic syntax can read means what it means there, all else what it
    means in the UTF-8 syntax. Raises ValueError.
    """
    try:
        return tuple(_classic(text))
    except ValueError:
        return tuple(_utf8(text))


def of(section: Mapping[str, Any], prefix: str = "") -> tuple[Matcher, ...]:
    """Read all matchers of a route, or of one side of an inhibition (`prefix`: `source_` or `target_`).

    Raises ValueError.
    """
    listed = section.get(f"{prefix}matchers") or ()
    texts: Sequence[str] = [listed] if isinstance(listed, str) else listed
    return (
        *(Matcher(label, "=", value) for label, value in (section.get(f"{prefix}match") or {}).items()),
        *(Matcher(label, "=~", value) for label, value in (section.get(f"{prefix}match_re") or {}).items()),
        *(matcher for text in texts for matcher in parse(text)),
    )


def all_match(matchers: Sequence[Matcher], labels: Labels) -> bool:
    """Whether labels fulfil every matcher."""
    return all(matcher.matches(labels) for matcher in matchers)


@functools.lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """Translate a regular expression of RE2 to Python, for `fullmatch`. Raises ValueError for what Python lacks."""

    def translated(match: re.Match[str]) -> str:
        if match["lacking"] or (match["posix"] and match["posix"] not in _POSIX):
            raise ValueError(f"this program can't read {match[0]} in the regular expression {text}")
        if match["quoted"] is not None:
            return re.escape(match["quoted"])
        if match["posix"]:
            return _POSIX[match["posix"]]
        return r"\Z" if match["end"] else match[0]

    with warnings.catch_warnings():  # Of sets within sets, which neither of them has.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return re.compile(_RE2.sub(translated, text), re.ASCII)
        except re.error as error:
            raise ValueError(f"this program can't read the regular expression {text}: {error}") from error


def _classic(text: str) -> Iterator[Matcher]:
    for part in _split(text.removeprefix("{").removesuffix("}")):
        match = _CLASSIC.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no matcher")
        label, operator, raw = match.groups()
        yield Matcher(label, operator, _classic_value(raw))


def _split(text: str) -> list[str]:
    """The text at its commas outside quotes; there may be one at its end."""
    parts, quoted, escaped = [""], False, False
    for character in text:
        if character == "," and not quoted:
            parts.append("")
            continue
        quoted ^= character == '"' and not escaped
        escaped = character == "\\" and not escaped
        parts[-1] += character
    return parts if parts[-1].strip() else parts[:-1]


def _classic_value(raw: str) -> str:
    """The value without quotes and escapes. A backslash before anything that needs none is a backslash."""
    quoted = raw.startswith('"')
    value, rest = "", iter(raw[1:] if quoted else raw)
    for character in rest:
        if character == "\\":
            following = next(rest, "")
            value += _CLASSIC_ESCAPES.get(following, f"\\{following}")
        elif character != '"':
            value += character
        elif quoted and next(rest, None) is None:
            return value
        else:
            raise ValueError(f"{raw} has a quote inside")
    if quoted:
        raise ValueError(f"{raw} has no closing quote")
    return value


def _utf8(text: str) -> Iterator[Matcher]:
    inner = text.strip()
    if inner.startswith("{") != inner.endswith("}"):
        raise ValueError(f"{text!r} has only one of its braces")
    inner = inner.removeprefix("{").removesuffix("}")
    at = 0
    while inner[at:].strip():
        match = _UTF8.match(inner, at)
        if match is None:
            raise ValueError(f"{text!r} is no matcher")
        yield Matcher(_unquoted(match["name"]), match["operator"], _unquoted(match["value"]))
        at = match.end()


def _unquoted(text: str) -> str:
    # Go's escapes mean the same in Python.
    value: str = ast.literal_eval(text) if text.startswith('"') else text
    return value
