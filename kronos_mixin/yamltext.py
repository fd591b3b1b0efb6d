"""Writes YAML and JSON as people would; the same data always gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml


class Source:
    """A key of a mapping with its value, in the words in which they are to be written."""

    lines: tuple[str, ...]
    """As lines without a margin."""
    inline: str
    """The value alone, as it may stand in brackets."""


def to_yaml(data: Any) -> str:
    """YAML in block style, also for multi-line strings; lists are indented, and keys keep their order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def to_json(data: Any) -> str:
    """Indented JSON with sorted keys."""
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def item_lines(value: Any, column: int, offset: int) -> list[str]:
    """The lines of a list item, its dash at ``column``; lists inside are ``offset`` deeper than their keys."""
    lines = (
        _mapping(value, column + 2, offset) if isinstance(value, Mapping) else [" " * (column + 2) + _scalar(value)]
    )
    return [" " * column + "- " + lines[0][column + 2 :], *lines[1:]]


def one_line(value: Any) -> str:
    """The value in flow style, as it may stand in brackets."""
    if isinstance(value, Source):
        return value.inline
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {one_line(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(one_line, value)) + "]" if isinstance(value, list) else _scalar(value)


def _mapping(value: Mapping[str, Any], column: int, offset: int) -> list[str]:
    lines = []
    for key, item in value.items():
        start = f"{' ' * column}{_scalar(key)}:"
        if isinstance(item, Source):
            lines += [" " * column + line if line else "" for line in item.lines]
        elif isinstance(item, Mapping) and item:
            lines += [start, *_mapping(item, column + 2, offset)]
        elif isinstance(item, list) and item and not any(isinstance(entry, list) for entry in item):
            lines += [start, *(line for entry in item for line in item_lines(entry, column + offset, offset))]
        else:
            lines.append(f"{start} {_scalar(item)}")
    return lines


def _scalar(value: Any) -> str:
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    text = yaml.safe_dump(value, default_flow_style=True, default_style=style, width=1 << 30, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


class _Dumper(yaml.SafeDumper):
    """Unlike SafeDumper, indents lists, and writes no anchors and aliases for objects that occur twice."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
