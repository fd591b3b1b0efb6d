"""Generates the reference of all knobs, with default and meaning, from ``config.libsonnet`` and its comments."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from kronos_mixin.documents.reference import table
from kronos_mixin.schema import Path, comments

# The knobs that every alert has.
_EVERY_ALERT = {
    "enabled": "Whether the alert exists.",
    "severity": "Its label `severity`: critical wakes someone, warning waits until morning, info is for dashboards.",
    "for": "How long the condition must hold before it fires.",
    "keepFiringFor": "How long it keeps firing after the condition has ended; `0s`: not at all.",
}

_HEAD = """\
# Every knob

Generated from [config.libsonnet](config.libsonnet) by `python build.py generate`. Names are below `_config.kronos`.
Objects are merged with your own, lists are replaced. Numbers that end up in a rule are strings.
"""


def reference(config: Mapping[str, Any], meanings: Mapping[Path, str]) -> str:
    """The reference as Markdown, from the defaults and the meanings of the knobs."""
    rows = [(f"`{'.'.join(path)}`", code(default), meaning(path, meanings)) for path, default in leaves(config)]
    return f"{_HEAD}\n{table(('knob', 'default', 'meaning'), rows)}\n"


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Knobs in alphabetical order. An empty object counts as one knob, which users fill."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from leaves(value[key], (*path, key))
    else:
        yield path, value


def meanings(mixin: pathlib.Path) -> dict[Path, str]:
    """The comments in ``config.libsonnet`` of the folder ``mixin``, by the path of their knob."""
    source = (mixin / "config.libsonnet").read_text(encoding="utf-8")
    return {path: text for path, text in comments(source) if path[-1] not in _EVERY_ALERT}


def meaning(path: Path, meanings: Mapping[Path, str]) -> str:
    """The knob's own comment, else that of the object around it."""
    if path in meanings:
        return meanings[path]
    if path[0] == "alerts" and path[-1] in _EVERY_ALERT:
        return _EVERY_ALERT[path[-1]]
    return meanings.get(path[:-1], "")


def code(value: Any) -> str:
    """A default as inline code."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return "; ".join(", ".join(f"{key} `{one[key]}`" for key in one) for one in value)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if text else "empty"
