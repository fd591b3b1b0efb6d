"""A key and its value as somebody wrote them, to be written again in the same words, comments included."""

from __future__ import annotations

import re
from typing import Any

import yaml

from kronos_mixin.merge.prometheusyml import Tree, from_node
from kronos_mixin.yamltext import Source

_ALIAS = re.compile(r"\s*:\s*(\*[^\s,\[\]{}]+)")


class Verbatim(Source):
    """The source of one key of a mapping in ``text``, at the nodes of the key and of its value."""

    def __init__(self, text: str, key: Any, value: Any, skipped: int) -> None:
        """``skipped`` characters at the start of the text are not counted in the nodes' positions."""
        self._text, self._node, self._skipped = text, value, skipped
        start, named = key.start_mark.index + skipped, key.end_mark.index + skipped
        here, end = value.start_mark.index + skipped, value.end_mark.index + skipped
        # An alias has the place of what it stands for, which is above.
        if here < named and (alias := _ALIAS.match(text, named)):
            self.inline, end = alias[1], alias.end()
        else:
            self.inline = text[here:end].strip()
            if isinstance(value, yaml.CollectionNode) and not value.flow_style:
                # Its end lies behind the comments that follow it.
                end = named
        self.tree: Tree = from_node(value)
        self.lines = _lines(text, start, end, key.start_mark.column)

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


def _lines(text: str, start: int, end: int, column: int) -> tuple[str, ...]:
    """The lines of the key at ``start`` in ``column``, without that margin: to ``end``, and all that is below it."""
    whole = text[start:end] + text[end:].split("\n", 1)[0]
    below: list[str] = []
    for line in text[start + len(whole) + 1 :].split("\n"):
        content = line.lstrip(" ")
        depth = len(line) - len(content)
        if content.strip() and depth <= column and not (depth == column and re.match(r"#|-(\s|$)", content)):
            break
        below.append(line)
    while below and not below[-1].strip():
        below.pop()
    first, *others = (line.rstrip("\r") for line in "\n".join([whole, *below]).split("\n"))
    return (first.rstrip(), *(line[min(column, len(line) - len(line.lstrip(" "))) :] for line in others))
