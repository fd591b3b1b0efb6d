"""The reference of all knobs: name, default and meaning, taken from ``config.libsonnet`` and its comments."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from kronos_mixin.reference import table
from kronos_mixin.schema import Path, comments

# What every alert has, said once.
_EVERY_ALERT = {
    "enabled": "Whether the alert exists.",
    "severity": "Its label `severity`: critical wakes somebody, warning is read in the morning, info on dashboards.",
    "for": "How long the condition must hold before it fires.",
    "keepFiringFor": "How long it goes on firing after the condition has ended; `0s`: not at all.",
}

_HEAD = """\
# Every knob

Generated from [config.libsonnet](config.libsonnet) by `python build.py generate`. Names are below `_config.kronos`.
Objects are merged with your own, lists are replaced. Numbers that end up in a rule are strings.
"""


def reference(config: Mapping[str, Any], meanings: Mapping[Path, str]) -> str:
    """The reference as Markdown: of a mixin's ``config``, and what its knobs mean."""
    rows = [(f"`{'.'.join(path)}`", code(default), meaning(path, meanings)) for path, default in leaves(config)]
    return f"{_HEAD}\n{table(('knob', 'default', 'meaning'), rows)}\n"


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Knobs in alphabetical order; an empty object is one that users fill."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from leaves(value[key], (*path, key))
    else:
        yield path, value


def meanings(mixin: pathlib.Path) -> dict[Path, str]:
    """What ``config.libsonnet`` in the folder ``mixin`` says of its knobs, by their paths."""
    source = (mixin / "config.libsonnet").read_text(encoding="utf-8")
    return {path: text for path, text in comments(source) if path[-1] not in _EVERY_ALERT}


def meaning(path: Path, meanings: Mapping[Path, str]) -> str:
    """The knob's own comment, else that of the object it is in."""
    if path in meanings:
        return meanings[path]
    if path[0] == "alerts" and path[-1] in _EVERY_ALERT:
        return _EVERY_ALERT[path[-1]]
    return meanings.get(path[:-1], "")


def code(value: Any) -> str:
    """A default, as code."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return "; ".join(", ".join(f"{key} `{one[key]}`" for key in one) for one in value)
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if text else "empty"
