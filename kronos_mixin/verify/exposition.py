"""What an instance of the service itself exposes, read from its own answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Labels = frozenset[tuple[str, str]]

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+(?: \S+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_TYPE = re.compile(r"# TYPE (\S+) (\S+)")


@dataclass(frozen=True)
class Exposition:
    """The series of one instance at `url`: the labels of each, by name, and the types of the metrics."""

    url: str
    series: Mapping[str, set[Labels]] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)


def parse(url: str, text: str) -> Exposition:
    """Read Prometheus' text format."""
    series: dict[str, set[Labels]] = {}
    types: dict[str, str] = {}
    for line in text.splitlines():
        if match := _TYPE.match(line):
            types[match[1]] = match[2]
        elif match := _SAMPLE.fullmatch(line):
            series.setdefault(match[1], set()).add(frozenset(_LABEL.findall(match[2] or "")))
    return Exposition(url, series, types)
