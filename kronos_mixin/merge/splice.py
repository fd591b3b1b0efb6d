"""Adds entries to a prometheus.yml and removes them again, and leaves the rest of the file alone.

The text is edited, never dumped from parsed data: that would lose comments, anchors and layout. Added lines stand
between markers that name the mixin. The result is parsed again: it must hold the old entries and the new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kronos_mixin.merge import flow
from kronos_mixin.merge.blocks import (
    Block,
    Remembered,
    block_of,
    blocks,
    is_end,
    is_ours,
    mark_above,
    marks,
    positions,
)
from kronos_mixin.merge.layout import Layout, TopLevel, layout
from kronos_mixin.merge.prometheusyml import LISTS, NULLS, MergeError, line_number, plain, to_data, tree
from kronos_mixin.yamltext import item_lines

_ADDED = "  # added by kronos-mixin"
_WAS_ADDED = re.compile(r"[ \t]*#[ \t]*added by kronos-mixin[ \t]*$")
_INSTEAD = "# kronos-mixin keeps: "
"""Comments out an empty list, so that unmerge can restore it."""

Entries = Mapping[str, Sequence[Any]]
"""What to add to each of LISTS: paths of rule files, scrape jobs."""

_UNUSUAL = "can't be edited as it is written; the result"


def merge(text: str, name: str, entries: Entries, remembered: Remembered | None = None) -> str:
    """Return ``text`` with these entries of the mixin ``name`` instead of its earlier ones.

    The markers hold what is to be ``remembered``. Raises MergeError if something else would have to change.
    """
    where = layout(text)
    tree(text)
    blocks(text)
    for key in LISTS:
        if entries.get(key):
            _refuse(where, key)
    result = text
    try:
        for key in LISTS:
            result = _merge(result, name, key, list(entries.get(key, ())), remembered or Remembered())
    except MergeError as error:
        raise MergeError(f"{_UNUSUAL}: {error}") from None
    _prove(text, result, name, entries)
    return result


def unmerge(text: str, name: str) -> str:
    """Return ``text`` without the mixin ``name``. Raises MergeError if a marker has lost its counterpart."""
    result = text
    for key in LISTS:
        block = block_of(result, name, key)
        if block is not None:
            result = _remove(result, block)
    _prove(text, result, name, {})
    return result


def _merge(text: str, name: str, key: str, items: list[Any], remembered: Remembered) -> str:
    old = block_of(text, name, key)
    if not items:
        return text if old is None else _remove(text, old)
    where = layout(text)
    top = where.keys.get(key)
    if old is not None and old.flow != (top is not None and flow.is_written_so(text, top)):
        # Somebody has written the list in the other style since.
        return _merge(_remove(text, old), name, key, items, remembered)
    marked = marks(name, key, items, remembered)
    if top is None:
        return _add_key(where, key, marked, items)
    newline = _newline(text, top.end)
    in_brackets = flow.is_written_so(text, top)
    above = mark_above(name, key, items, remembered) if in_brackets else marked[0]
    if old is not None and _held(text, name).get(key) == list(map(plain, items)):
        # Only what is remembered may be new: the items stay as they are written, comments included.
        line = text[old.start : old.end].split("\n", 1)[0].rstrip("\r")
        margin = line[: len(line) - len(line.lstrip(" "))]
        return f"{text[: old.start]}{margin}{above}{text[old.start + len(line) :]}"
    if in_brackets:
        return flow.insert(text if old is None else flow.remove(text, old), key, above, items, newline)
    if text[top.value : top.end].strip() and top.kind in {"flow", "nothing"} and top.end > top.value:
        # Comment out `[]` or `null`, so that items can follow on lines of their own.
        text = text[: top.value] + _INSTEAD + text[top.value :]
        where = layout(text)
        top = where.keys[key]
    dash = top.dash if top.dash is not None else where.column + _offset(where, top)
    lines = _lines(marked, items, dash, dash - where.column)
    if old is not None:
        return _replace(text, old, newline.join(lines) + newline + _foreign(text, old))
    return _insert(text, _list_end(where, top), lines, newline)


def _remove(text: str, block: Block) -> str:
    if block.flow:
        return flow.remove(text, block)
    return _tidy(_replace(text, block, _foreign(text, block)), block.key)


def _refuse(where: Layout, key: str) -> None:
    """Raise MergeError if the list can't be added to."""
    top = where.keys.get(key)
    if top is None:
        if "<<" in where.keys:
            raise MergeError(
                f"may have {key} through a merge key (<<), which can't be added to: write {key} out at the top level"
            )
        return
    line = line_number(where.text, top.value)
    if top.kind == "alias":
        raise MergeError(
            f"line {line}: {key} is an alias (*...), which can't be added to: write the list itself there"
        )
    if top.kind == "other" or (top.kind == "nothing" and top.marked):
        raise MergeError(f"line {line}: {key} is not a list, as Prometheus wants it")


def _lines(marked: tuple[str, str], items: Sequence[Any], dash: int, offset: int) -> list[str]:
    """The lines of a block in block style, with its dashes at column ``dash``."""
    begin, end = (" " * dash + mark for mark in marked)
    return [begin, *(line for item in items for line in item_lines(item, dash, offset)), end]


def _add_key(where: Layout, key: str, marked: tuple[str, str], items: Sequence[Any]) -> str:
    offset = _offset(where, None)
    lines = [f"{' ' * where.column}{key}:{_ADDED}", *_lines(marked, items, where.column + offset, offset)]
    return _insert(where.text, where.end, lines, _newline(where.text, where.end))


def _list_end(where: Layout, top: TopLevel) -> int:
    """Where the next item of a list goes: after the last one and the comments that belong to it."""
    text = where.text
    # The last character of a text in block style is its line's end.
    end = at = _line_end(text, max(top.end - 1, top.start))
    while at < len(text):
        next_line = _line_end(text, at)
        line = text[at:next_line]
        stripped = line.strip()
        if stripped.startswith("#"):
            indented = len(line) - len(line.lstrip(" ")) > where.column
            if not indented and not is_end(line):
                break
            end = next_line
        elif stripped:
            break
        at = next_line
    return end


def _offset(where: Layout, top: TopLevel | None) -> int:
    """How far dashes are indented below their key: as in commented-out items, else as in the other lists."""
    if top is not None:
        comment = re.compile(r"(?P<margin> *)# ?- ").match(where.text, _line_end(where.text, top.end - 1))
        if comment and len(comment["margin"]) > where.column:
            return len(comment["margin"]) - where.column
    dashes = [key.dash - where.column for key in where.keys.values() if key.dash is not None]
    return dashes[0] if dashes else 2


def _foreign(text: str, block: Block) -> str:
    """The lines of items that users added inside our block."""
    where = layout(text)
    top = where.keys.get(block.key)
    data = tree(text).get(block.key)
    if top is None or data is None or data[0] != "list":
        return ""
    dashes = [_dash(text, start) for start in top.items]
    kept = ""
    for number, (start, item) in enumerate(zip(dashes, data[2], strict=True)):
        if block.start <= start < block.end and not is_ours(to_data(item), block):
            inside = [dash for dash in dashes[number + 1 :] if dash < block.end]
            kept += text[start : inside[0] if inside else _last_line(text, block)]
    return kept


def _dash(text: str, start: int) -> int:
    """The start of the line with the dash of the item that starts at ``start``."""
    before = text.rfind("-", 0, start)
    return (
        text.rfind("\n", 0, before + 1) + 1
        if text[before + 1 : start].strip() == ""
        else text.rfind("\n", 0, start) + 1
    )


def _last_line(text: str, block: Block) -> int:
    return text.rfind("\n", 0, block.end - 1) + 1


def _replace(text: str, block: Block, lines: str) -> str:
    """``text`` with other lines instead of the block, or with none."""
    start, end = block.start, block.end
    if text[end - 1] == "\n":
        return text[:start] + lines + text[end:]
    # The file had no newline at its end before the merge either.
    if lines:
        return text[:start] + lines.removesuffix("\n").removesuffix("\r")
    return _without_line_end(text[:start])


def _without_line_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _tidy(text: str, key: str) -> str:
    """Once the last mixin is gone, restore the list as it was before the first."""
    where = layout(text)
    top = where.keys.get(key)
    if top is None or any(block.key == key for block in blocks(text)):
        return text
    line_end = _line_end(text, top.start)
    line = text[top.start : line_end]
    bare = line.rstrip("\r\n")
    if added := _WAS_ADDED.search(bare):
        if top.items:  # Users have added entries of their own.
            return text[: top.start] + bare[: added.start()] + line[len(bare) :] + text[line_end:]
        # Keep the byte order mark that some editors put at the start.
        start = text.rfind("\n", 0, top.start) + 1 or len(text) - len(text.removeprefix("\ufeff"))
        rest = text[line_end:]
        return text[:start] + rest if line != bare else _without_line_end(text[:start])
    if _INSTEAD in line:
        mark = top.start + line.index(_INSTEAD)
        behind = text[mark + len(_INSTEAD) :]
        return text[:mark] + (re.sub(r"^(\[\s*\]|~|[A-Za-z]+)[ \t]*", "", behind) if top.items else behind)
    return text


def _insert(text: str, at: int, lines: list[str], newline: str) -> str:
    block = newline.join(lines)
    if at == 0 or text[at - 1] == "\n" or (at == 1 and text[0] == "\ufeff"):
        return text[:at] + block + newline + text[at:]
    # The file has no newline at its end: don't add one.
    return text[:at] + newline + block + text[at:]


def _line_end(text: str, index: int) -> int:
    """Where the line after that of the character at ``index`` begins."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _newline(text: str, near: int) -> str:
    """The kind of line end used near a position."""
    at = text.rfind("\n", 0, near)
    if at < 0:
        at = text.find("\n")
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"


def _prove(old: str, new: str, name: str, entries: Entries) -> None:
    """Parse the result: it must hold the new entries, and all that was there except our earlier ones."""
    before = _rest(old, name)
    try:
        after, held = _rest(new, name), _held(new, name)
    except MergeError as error:
        raise MergeError(f"{_UNUSUAL}: {error}") from None
    if before != after:
        changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
        raise MergeError(
            f"can't be changed without changing {', '.join(sorted(changed))}, too: if an anchor (&...) shares them, "
            "write them out; if the last line has no end, add one"
        )
    for key in LISTS:
        if held.get(key, []) != [plain(item) for item in entries.get(key, ())]:
            raise MergeError(f"would lose what was added to {key}")


def _rest(text: str, name: str) -> dict[str, Any]:
    """The data without our entries; a missing list counts as empty."""
    data = tree(text)
    ours = positions(text, name)
    for key in LISTS:
        value = data.get(key)
        if value is None or (value[0] == "scalar" and value[2] in NULLS):
            data[key] = ()
        elif value[0] == "list":
            items = [item for number, item in enumerate(value[2]) if number not in ours.get(key, ())]
            data[key] = (*value[:2], items) if items else ()
    return data


def _held(text: str, name: str) -> dict[str, list[Any]]:
    data = tree(text)
    return {
        key: [data[key][2][number] for number in numbers] for key, numbers in positions(text, name).items() if numbers
    }
