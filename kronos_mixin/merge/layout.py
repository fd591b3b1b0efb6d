"""Where the keys and lists of a prometheus.yml stand, from the positions of YAML events."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from kronos_mixin.merge import prometheusyml
from kronos_mixin.merge.prometheusyml import NULLS, MergeError, line_number, parse_error


@dataclass(slots=True)
class TopLevel:
    """A key of the root mapping, with its value.

    ``kind``: block or flow list, nothing, alias or other. Indexes count characters: where the key starts, where the
    value starts, and where the last thing of it ends; ``items`` are the starts of a list's items.
    """

    key: str
    start: int
    column: int
    value: int = 0
    end: int = 0
    kind: str = "nothing"
    marked: bool = False
    """It has an anchor or a tag."""
    items: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """Where the items of a list end; in block style, maybe far behind their last line."""
    dash: int | None = None
    """Column of the dashes of a block list."""


@dataclass(slots=True)
class Layout:
    """The root mapping of one document."""

    text: str
    keys: dict[str, TopLevel]
    column: int
    end: int
    """Where another key can be added: before the mark of the document's end, or at the end of the text."""


def layout(text: str) -> Layout:
    """Locate keys and items. Raises MergeError unless the text is one document with a block mapping."""
    return _layout(text, prometheusyml.LOADER)


# The same text is asked about again and again, and a large one takes its time. Nobody changes what comes out.
@functools.lru_cache(maxsize=8)
def _layout(text: str, loader: Any) -> Layout:
    # The parser skips the mark that some editors begin a file with, and does not count it.
    skipped = 1 if text.startswith("\ufeff") else 0
    reader = _Reader(Layout(text, {}, 0, len(text)))
    try:
        event: Any
        for event in yaml.parse(text[skipped:], Loader=loader):
            reader.take(event, event.start_mark.index + skipped, event.end_mark.index + skipped)
    except yaml.YAMLError as error:
        raise MergeError(parse_error(error)) from None
    _find_dashes(reader.found)
    return reader.found


class _Reader:
    """Collects the positions of the root mapping's keys and values from parser events."""

    def __init__(self, found: Layout) -> None:
        self.found = found
        self._open: list[str] = []  # The collections around the event, the outermost first.
        self._current: TopLevel | None = None
        """The top-level key whose value is being read."""
        self._documents = 0

    def take(self, event: Any, start: int, end: int) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refused(start, "begins a second YAML document, which Prometheus does not read")
            case yaml.DocumentEndEvent() if event.explicit:
                self.found.end = _line_start(self.found.text, start)
            case yaml.CollectionEndEvent():
                self._close(start, end)
            case yaml.NodeEvent() if not self._open:
                self._root(event, start)
            case yaml.NodeEvent() if self._current is None:
                self._key(event, start, end)
            case yaml.NodeEvent():
                assert self._current is not None  # noqa: S101 - See the case above.
                self._value(event, self._current, start, end)

    def _root(self, event: Any, start: int) -> None:
        if isinstance(event, yaml.ScalarEvent) and event.value == "" and not event.style:
            return  # An empty file.
        if not isinstance(event, yaml.MappingStartEvent):
            raise MergeError("is not a Prometheus configuration: its top level is not a mapping")
        if event.flow_style:
            raise self._refused(start, "is written in flow style ({...}): write one key per line")
        self._open.append("root")

    def _key(self, event: Any, start: int, end: int) -> None:
        found = self.found
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refused(start, "has a key that is not plain text")
        if event.value in found.keys:
            raise self._refused(start, f"has {event.value} twice, which Prometheus refuses")
        # The mark that some editors begin a file with takes no column.
        margin = found.text[_line_start(found.text, start) : start].removeprefix("\ufeff")
        self._current = TopLevel(event.value, start, len(margin), start, end)
        found.keys[event.value] = self._current
        found.column = len(margin)

    def _value(self, event: Any, current: TopLevel, start: int, end: int) -> None:
        if len(self._open) == 1:
            current.value, current.kind = start, _kind(event)
            current.marked = bool(event.anchor or getattr(event, "tag", None))
        elif self._open[1:] == ["list"]:
            current.items.append(start)
            if not isinstance(event, yaml.CollectionStartEvent):
                current.ends.append(end)
        if isinstance(event, yaml.CollectionStartEvent):
            self._open.append("list" if isinstance(event, yaml.SequenceStartEvent) else "map")
            return
        current.end = max(current.end, end)
        if len(self._open) == 1:
            self._current = None

    def _close(self, start: int, end: int) -> None:
        self._open.pop()
        if self._current is not None:
            if self._open[1:] == ["list"]:
                self._current.ends.append(end)
            # The end of a collection in block style takes no room, and may lie far behind its last line.
            self._current.end = max(self._current.end, end if end > start else 0)
            if len(self._open) == 1:
                self._current = None

    def _refused(self, index: int, what: str) -> MergeError:
        return MergeError(f"line {line_number(self.found.text, index)}: {what}")


def _kind(event: Any) -> str:
    if isinstance(event, yaml.AliasEvent):
        return "alias"
    if isinstance(event, yaml.SequenceStartEvent):
        return "flow" if event.flow_style else "block"
    if isinstance(event, yaml.ScalarEvent) and not event.style and event.value in NULLS:
        return "nothing"
    return "other"


def _find_dashes(found: Layout) -> None:
    """The column of each block list's dashes: the first one stands between the key and the first item."""
    for top in found.keys.values():
        if top.kind == "block" and top.items:
            # Nothing but blanks, comments, an anchor or a tag stands before it.
            between = re.compile(r"^[ ]*-(?=\s|$)", re.MULTILINE)
            first = between.search(found.text, _line_start(found.text, top.start), top.items[0])
            if first is not None:
                top.dash = first.end() - 1 - first.start()


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1
