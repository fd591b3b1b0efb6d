"""Our items inside the brackets of a list in flow style: `rule_files: [rules/*.yml]`.

No comment can stand beside them without breaking the line, so that one line above the key names them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kronos_mixin.merge.blocks import Block, is_ours
from kronos_mixin.merge.layout import Layout, TopLevel, layout
from kronos_mixin.merge.prometheusyml import to_data, tree
from kronos_mixin.yamltext import one_line


def is_written_so(text: str, top: TopLevel) -> bool:
    """Whether a list is in flow style, and not just `[]`, which gives way to a list in block style."""
    return top.kind == "flow" and (bool(top.items) or "\n" in text[top.start : top.end] or top.marked)


def insert(text: str, key: str, mark: str, items: Sequence[Any], newline: str) -> str:
    """``text`` with ``items`` behind the last one of the list, and with ``mark`` above its key."""
    where = layout(text)
    top = where.keys[key]
    end = top.ends[-1] if top.items else text.index("[", top.value) + 1
    added = ", ".join(map(one_line, items))
    line = _line_of(where, top)
    margin = " " * where.column
    return f"{text[:line]}{margin}{mark}{newline}{text[line:end]}{', ' if top.items else ''}{added}{text[end:]}"


def remove(text: str, block: Block) -> str:
    """``text`` without our items and without their mark."""
    top = layout(text).keys.get(block.key)
    items = zip(tree(text)[block.key][2], top.items, top.ends, strict=True) if top is not None and top.items else ()
    for item, start, end in reversed(list(items)):
        if not is_ours(to_data(item), block):
            continue
        before, after = text[:start].rstrip(" \t"), text[end:]
        if comma := re.match(r"\s*,", after):
            after = after[comma.end() :]
        else:
            # The last one: the comma in front of it goes, and comments between stay.
            before = re.sub(r",((?:\s|#[^\n]*\n)*)\Z", r"\1", before)
        if before.endswith("\n"):  # It had a line of its own.
            after = re.sub(r"^[ \t]*\r?\n", "", after)
        text = before + after
    return text[: block.start] + text[block.end :]


def _line_of(where: Layout, top: TopLevel) -> int:
    """Where the line of a key begins, behind the mark that some editors begin a file with."""
    text = where.text
    return text.rfind("\n", 0, top.start) + 1 or len(text) - len(text.removeprefix("\ufeff"))
