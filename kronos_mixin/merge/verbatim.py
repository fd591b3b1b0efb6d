"""A key and its value as somebody wrote them, to be written again in the same words, comments included."""

from __future__ import annotations

from typing import Any

import yaml

from kronos_mixin.merge.prometheusyml import Tree, from_node
from kronos_mixin.yamltext import Source


class Verbatim(Source):
    """The source of one key of a mapping in ``text``, at the nodes of the key and of its value."""

    def __init__(self, text: str, key: Any, value: Any, skipped: int) -> None:
        """``skipped`` characters at the start of the text are not counted in the nodes' positions."""
        self._text, self._node, self._skipped = text, value, skipped
        start, end = key.start_mark.index + skipped, _end(value) + skipped
        self.tree: Tree = from_node(value)
        self.inline = text[value.start_mark.index + skipped : end].strip()
        self.lines = self._lines(start, start + len(text[start:end].rstrip()), key.start_mark.column)

    @classmethod
    def mapping(cls, text: str, node: Any, skipped: int) -> dict[str, Verbatim]:
        """Every key of a mapping."""
        found = {key.value: cls(text, key, value, skipped) for key, value in node.value}
        if node.flow_style:
            for key, one in found.items():
                one.lines = (f"{key}: {' '.join(one.inline.split())}",)
        return found

    @property
    def items(self) -> list[dict[str, Verbatim]]:
        """The mappings in a list of mappings; none if it is something else."""
        if not isinstance(self._node, yaml.SequenceNode):
            return []
        items = [item for item in self._node.value if isinstance(item, yaml.MappingNode)]
        return [self.mapping(self._text, item, self._skipped) for item in items]

    def _lines(self, start: int, end: int, column: int) -> tuple[str, ...]:
        """The lines of the key, without its margin, with the comments behind it and below it."""
        while end < len(self._text):
            stop = self._text.find("\n", end)
            stop = len(self._text) if stop < 0 else stop
            following = self._text[stop + 1 :].split("\n", 1)[0]
            end = stop
            if not following.lstrip(" ").startswith("#") or len(following) - len(following.lstrip(" ")) < column:
                break
            end = stop + 1 + len(following)
        first, *others = self._text[start:end].replace("\r\n", "\n").rstrip("\r\n").split("\n")
        return (first, *(line[min(column, len(line) - len(line.lstrip(" "))) :] for line in others))


def _end(node: Any) -> int:
    """Where a node ends. The end that a collection in block style says lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    return end
