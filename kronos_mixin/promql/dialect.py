"""Parses PromQL, also where it is newer than the parser: that is first put into older words."""

from __future__ import annotations

import functools
import json
import re
import warnings
from typing import NamedTuple

import promql_parser as promql

_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*)""", re.DOTALL)

_DURATION = r"(?:\d+(?:ms|[smhdwy]))+|\d+(?:\.\d+)?"
_CALCULATED = rf"(?:{_DURATION}|step|range|min|max|[-+*/%^(),\s])+"
# Plain ones are left alone: what is wrong with those is wrong everywhere.
_BRACKETS = re.compile(
    rf"\[(?!\s*(?:{_DURATION})?\s*(?::\s*(?:{_DURATION})?\s*)?\]){_CALCULATED}(:(?:{_CALCULATED})?)?\]"
)
_OFFSET = re.compile(r"\boffset\s+[+-]?\s*(?:(?:step|range|min|max)\s*)?\((?:[^()]|\([^()]*\))*\)", re.IGNORECASE)

# What newer Prometheus takes, and the same in words that the parser knows, as far as series and labels go.
_NEWER = (
    ("a duration that is calculated", _BRACKETS, lambda found: "[5m:]" if found[1] else "[5m]"),
    ("a duration that is calculated", _OFFSET, lambda _: "offset 5m"),
    ("the modifier anchored", re.compile(r"(?<=[\]}\w])\s+anchored\b"), lambda _: ""),
    ("the modifier smoothed", re.compile(r"(?<=[\]}\w])\s+smoothed\b"), lambda _: ""),
    ("the operators </ and >/", re.compile(r"([<>])/"), lambda found: found[1]),
    (
        "a number with underscores",
        re.compile(r"(?<![\w.])\d[\d.]*(?:_\d+)+"),
        lambda found: found[0].replace("_", ""),
    ),
    (
        "holt_winters, which Prometheus 3 calls double_exponential_smoothing,",
        re.compile(r"\bholt_winters(?=\s*\()"),
        lambda _: _SMOOTHING,
    ),
)
_SMOOTHING = "double_exponential_smoothing"

_TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_QUOTED_NAME = re.compile(
    rf"\{{\s*{_TEXT}\s*[,}}=!]|,\s*{_TEXT}\s*[=!]|"
    rf"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([\w\s,]*{_TEXT}",
    re.IGNORECASE,
)

# Newer servers have more functions and durations, and RE2 has what other libraries for regular expressions lack.
_OPEN = re.compile(r"unknown function|illegal regex|unexpected character inside brackets")
# Words of newer PromQL that may also be names.
_WORDS = re.compile(r"\b(anchored|smoothed)\b")


class RefusedError(ValueError):
    """The parser can't read an expression."""

    certain: bool
    """No Prometheus can; else it may be that the parser is older."""


class Parsed(NamedTuple):
    """An expression, and what in it is newer than the parser."""

    tree: promql.Expr
    newer: tuple[str, ...] = ()


# Rules are parsed several times: for the labels of what they record, for their problems, for their layout.
@functools.lru_cache(maxsize=8192)
def parse(expression: str) -> Parsed:
    """Parse ``expression``. Raises RefusedError."""
    expression = _without_backticks(expression)
    quoted = ("quoted names, which only Prometheus 3 has,",) if _QUOTED_NAME.search(expression) else ()
    try:
        return Parsed(promql.parse(expression), quoted)
    except ValueError as error:
        refused = RefusedError(*error.args)
    newer, text = _older(expression)
    if newer:
        try:
            return Parsed(promql.parse(text), (*quoted, *newer))
        except ValueError as error:
            refused = RefusedError(*error.args)
    refused.certain = _unbalanced(str(refused)) or not (_OPEN.search(str(refused)) or _WORDS.search(expression))
    raise refused


def split(expression: str) -> list[str]:
    """An expression by what is outside quotes and comments and what is in them, in turn."""
    return _QUOTED.split(expression)


def has_comment(expression: str) -> bool:
    """Whether there is a comment in an expression; a `#` in quotes is none."""
    return any(part.startswith("#") for part in split(expression)[1::2])


def _without_backticks(expression: str) -> str:
    """Texts between backticks as quoted ones: the parser looks for escapes in them, and there are none."""
    if "`" not in expression:
        return expression
    parts = split(expression)
    parts[1::2] = [json.dumps(part[1:-1]) if part.startswith("`") else part for part in parts[1::2]]
    return "".join(parts)


def _older(expression: str) -> tuple[tuple[str, ...], str]:
    """What in an expression may be newer than the parser, and the expression without."""
    newer = []
    parts = split(expression)
    for what, pattern, older in _NEWER:
        changed = [part if number % 2 else pattern.sub(older, part) for number, part in enumerate(parts)]
        if changed != parts:
            newer.append(what)
            parts = changed
    return tuple(dict.fromkeys(newer)), "".join(parts)


def _unbalanced(refusal: str) -> bool:
    """Whether a regular expression is refused for something that no library takes."""
    _, _, regex = refusal.partition("illegal regex for ")
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(regex)
    except re.error as error:
        return error.msg.startswith(("missing )", "unbalanced", "unterminated character", "nothing to repeat"))
    return False
