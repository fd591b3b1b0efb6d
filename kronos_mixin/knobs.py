"""The reference of all knobs: name, default and meaning, taken from ``config.libsonnet`` and its comments.

`python -m kronos_mixin.knobs` prints it; mixin/CONFIG.md is its output, and a test holds the two together.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.schema import comments

# What every alert has, said once.
_EVERY_ALERT = {
    "enabled": "Whether the alert exists.",
    "severity": "Its label `severity`: critical wakes somebody, warning is read in the morning, info on dashboards.",
    "for": "How long the condition must hold before it fires.",
    "keepFiringFor": "How long it goes on firing after the condition has ended; `0s`: not at all.",
}

_HEAD = """\
# Every knob

Made from [config.libsonnet](config.libsonnet) by `python -m kronos_mixin.knobs > mixin/CONFIG.md`. Names are below
`_config.kronos`. Objects are merged with your own, lists are replaced. Numbers that end up in a rule are strings.
"""


def reference(mixin: Path | None = None) -> str:
    """The reference as Markdown. Raises CompileError if the mixin in the folder ``mixin`` can't be evaluated."""
    folder = mixin or mixin_path()
    source = (folder / "config.libsonnet").read_text(encoding="utf-8")
    meanings = {path: text for path, text in comments(source) if path[-1] not in _EVERY_ALERT}
    rows = [
        f"| `{'.'.join(path)}` | {_code(default)} | {_meaning(path, meanings)} |"
        for path, default in _leaves(evaluate(folder).config)
    ]
    return "\n".join([_HEAD, "| knob | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Knobs in alphabetical order; an empty object is one that users fill."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            yield from _leaves(value[key], (*path, key))
    else:
        yield path, value


def _meaning(path: tuple[str, ...], meanings: Mapping[tuple[str, ...], str]) -> str:
    """The knob's own comment, else that of the object it is in."""
    if path in meanings:
        return meanings[path]
    if path[0] == "alerts" and path[-1] in _EVERY_ALERT:
        return _EVERY_ALERT[path[-1]]
    return meanings.get(path[:-1], "")


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`" if text else "empty"


def main() -> None:
    """Print the reference."""
    sys.stdout.write(reference())


if __name__ == "__main__":
    main()
