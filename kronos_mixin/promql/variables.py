"""Reads expressions in which Grafana's variables stand, as far as that can be done without knowing their values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from kronos_mixin import promql
from kronos_mixin.promql import ANY_LABEL, dialect

# In Grafana's three notations; built-in ones begin with two underscores.
_VARIABLE = re.compile(
    r"\$\{(?P<braces>\w+)(?:[.:][^}]*)?\}|\[\[(?P<square>\w+)(?::[^\]]*)?\]\]|\$(?P<bare>[A-Za-z_]\w*)"
)
_TOKEN = re.compile(rf"(?P<variable>{_VARIABLE.pattern})|[\[({{\])}}]")
_CLOSED = {"]": "[", ")": "(", "}": "{"}
_LABEL_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*$", re.IGNORECASE)

_STANDS_FOR = (ANY_LABEL, "sum", "1", "or", "5m")
"""What a variable may stand for where anything may stand: a name, a function, a number, an operator, a duration."""
_MOST_VARIABLES = 3
_WRITTEN = 5
"""How many of a variable's own values are tried."""
_UNFINISHED = ("unclosed", "unterminated", "unexpected end", "unexpected right", "unexpected left")


def read(expression: str, variables: Mapping[str, Sequence[str]]) -> tuple[promql.Reading, str]:
    """Read an expression over the ``variables`` of its dashboard; returns also the text that was read.

    Of the texts that it may stand for, one without problems clears it.
    """
    first: tuple[promql.Reading, str] | None = None
    unread: list[promql.Reading] = []
    free = _free(expression, variables)
    guessed = bool(free) or _in_braces(expression)
    for text in _meant(expression, variables, free):
        reading = promql.read(text, None)
        reading.series = {name for name in reading.series if ANY_LABEL not in name}
        if not reading.problems:
            return reading, text
        if not reading.parsed:
            unread.append(reading)
        first = first or ((reading, text) if reading.parsed or not guessed else None)
    if first:
        return first
    if unread and all(any(word in reading.problems[-1] for word in _UNFINISHED) for reading in unread):
        return unread[0], expression
    return promql.Reading(), expression  # It may stand for something that was not tried.


def _free(expression: str, variables: Mapping[str, Sequence[str]]) -> list[str]:
    """The variables that stand where anything may stand."""
    found: dict[str, None] = {}

    def note(name: str) -> str:
        found[name] = None
        return ANY_LABEL

    _replaced(expression, variables, note)
    return list(found)


def _in_braces(expression: str) -> bool:
    """Whether a variable stands for a matcher, or a part of one."""
    unquoted = "".join(dialect.split(expression)[::2])
    return re.search(r"\{[^{}]*\0", _VARIABLE.sub("\0", unquoted)) is not None


def _meant(expression: str, variables: Mapping[str, Sequence[str]], free: list[str]) -> Iterator[str]:
    """What an expression may stand for, the likeliest first."""
    if len(free) > _MOST_VARIABLES:
        return
    choices = [dict.fromkeys([*variables.get(name, ())[:_WRITTEN], *_STANDS_FOR]) for name in free]
    for values in itertools.product(*choices):
        chosen = dict(zip(free, values, strict=True))
        yield _replaced(expression, variables, chosen.__getitem__)


def _replaced(expression: str, variables: Mapping[str, Sequence[str]], free: Callable[[str], str]) -> str:
    """The expression with text for its variables; ``free`` has that for those which may stand for anything."""
    parts = dialect.split(expression)
    opened: list[str] = []
    for number, part in enumerate(parts):
        if number % 2:
            # What is no variable of the dashboard stays as it is.
            parts[number] = _VARIABLE.sub(lambda found: ANY_LABEL if _is_one(found, variables) else found[0], part)
            continue
        text, end = "", 0
        for token in _TOKEN.finditer(part):
            text += part[end : token.start()]
            end = token.end()
            if token["variable"] is None:
                _open_or_close(token[0], text, opened)
                text += token[0]
            else:
                text += _stand_in(_name(token), opened, text, part[end:], free)
        parts[number] = text + part[end:]
    return "".join(parts)


def _open_or_close(bracket: str, before: str, opened: list[str]) -> None:
    if bracket not in _CLOSED:
        opened.append("labels" if bracket == "(" and _LABEL_LIST.search(before) else bracket)
    elif opened:
        opened.pop()


def _stand_in(name: str, opened: list[str], before: str, after: str, free: Callable[[str], str]) -> str:
    """Text for a variable by what is around it."""
    inside = opened[-1] if opened else ""
    if inside == "labels":
        return ANY_LABEL
    if inside == "[" or re.search(r"\boffset\s+-?$", before):
        return "5" if after[:1].isalpha() else "5m"
    if inside != "{":
        return free(name)
    if re.search(r"[=~]\s*$", before):
        return f'"{ANY_LABEL}"'
    if re.match(r"\s*[=!]", after):
        return ANY_LABEL
    return f'{ANY_LABEL}="{ANY_LABEL}"' if re.search(r"[{,]\s*$", before) else ""


def _is_one(found: re.Match[str], variables: Mapping[str, Sequence[str]]) -> bool:
    name = _name(found)
    return name in variables or name.startswith("__")


def _name(found: re.Match[str]) -> str:
    return found["braces"] or found["square"] or found["bare"]
