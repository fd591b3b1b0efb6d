"""Our lines in a prometheus.yml: one block for each list, between marks that name the mixin."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from kronos_mixin.compile import rule_file_names
from kronos_mixin.merge.layout import layout
from kronos_mixin.merge.placed import said
from kronos_mixin.merge.prometheusyml import LISTS, MergeError, line_number, plain, to_data, tree

_BEGIN = (
    "# BEGIN kronos-mixin {name} ({key}{listed}): put in by `kronos-mixin merge{options}`, "
    "taken out by `kronos-mixin unmerge`{wrote}"
)
_END = "# END kronos-mixin {name} ({key})"
_BELOW = _BEGIN.replace("BEGIN", "BELOW")
_MARKS = re.compile(
    r"[ \t]*# (?P<kind>BEGIN|BELOW) kronos-mixin (?P<name>\S+) \((?P<key>\w+)(?:: (?P<listed>\[.*?\]))?\)"
    r"(?:: put in by `kronos-mixin merge(?P<options>[^`]*)`(?:, .*?`; wrote (?P<wrote>\{.*\}))?)?"
)
_ENDS = re.compile(r"[ \t]*# END kronos-mixin (?P<name>\S+) \((?P<key>\w+)\)")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the marks say for the next merge: see Block."""

    options: Sequence[str] = ()
    wrote: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """Our lines for one mixin in one list; `start` and `end` are indexes into the text.

    In a list in flow style our items are among the others, and the block is the line above the key.
    """

    name: str
    key: str
    listed: tuple[str, ...]
    """The scrape jobs in it that are ours; in a list in flow style also the rule files."""
    options: str
    """Those of the merge that put it in, as a shell reads them."""
    wrote: Mapping[str, Mapping[str, str]]
    """A digest of each key of each scrape job, as merge wrote it."""
    start: int
    end: int
    flow: bool


def blocks(text: str) -> list[Block]:
    """All our blocks, of any mixin. Raises MergeError for a mark without its partner."""
    found: list[Block] = []
    begun: tuple[int, re.Match[str]] | None = None
    start = 0
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        end = start + len(line)
        if mark := _MARKS.match(line.removeprefix("\ufeff")):
            if begun is not None:
                break
            if mark["kind"] == "BELOW":
                found.append(_block(mark, start + line.startswith("\ufeff"), end))
            else:
                begun = start, mark
        elif ends := _ENDS.match(line):
            if begun is None or begun[1].group("name", "key") != ends.group("name", "key"):
                number = line_number(text, start)
                raise MergeError(f"line {number}: an END mark of kronos-mixin without its BEGIN: delete the line")
            found.append(_block(begun[1], begun[0], end))
            begun = None
        start = end
    if begun is not None:
        line = line_number(text, begun[0])
        raise MergeError(f"line {line}: a BEGIN mark of kronos-mixin without its END: delete the rest of the block")
    return found


def _block(mark: re.Match[str], start: int, end: int) -> Block:
    listed = tuple(json.loads(mark["listed"] or "[]"))
    wrote = json.loads(mark["wrote"] or "{}")
    return Block(mark["name"], mark["key"], listed, mark["options"] or "", wrote, start, end, mark["kind"] == "BELOW")


def is_end(line: str) -> bool:
    """Whether ``line`` is the mark that ends a block."""
    return _ENDS.match(line) is not None


def entries_of(text: str, name: str) -> dict[str, list[Any]]:
    """The entries between the marks of the mixin ``name``, including those the user added there; scalars as text."""
    return {block.key: list(items.values()) for block, items in _inside(text, name)}


def options_of(text: str, name: str) -> list[str]:
    """The options with which the mixin ``name`` was merged. Raises MergeError for marks that were edited."""
    block = next((block for block in blocks(text) if block.name == name), None)
    if block is None:
        return []
    try:
        return shlex.split(block.options)
    except ValueError as error:
        line = line_number(text, block.start)
        raise MergeError(f"line {line}: the options in the mark of kronos-mixin can't be read: {error}") from None


def block_of(text: str, name: str, key: str) -> Block | None:
    """The block of the mixin ``name`` in the list ``key``, if there is one. Raises MergeError for a second one."""
    found = [block for block in blocks(text) if (block.name, block.key) == (name, key)]
    if len(found) > 1:
        line = line_number(text, found[1].start)
        raise MergeError(f"line {line}: there is a second block of {name} in {key}: delete one of them")
    return found[0] if found else None


def marks(name: str, key: str, items: Sequence[Any], remembered: Remembered) -> tuple[str, str]:
    """The lines that begin and end a block. Raises MergeError for options that a comment can't hold."""
    jobs = [item["job_name"] for item in items if isinstance(item, Mapping)]
    return _begin(_BEGIN, name, key, jobs, remembered), _END.format(name=name, key=key)


def mark_above(name: str, key: str, items: Sequence[Any], remembered: Remembered) -> str:
    """The line above a list in flow style that has ``items`` of ours. Raises MergeError as `marks` does."""
    names = [item["job_name"] if isinstance(item, Mapping) else item for item in items]
    return _begin(_BELOW, name, key, names, remembered)


def _begin(mark: str, name: str, key: str, names: Sequence[Any], remembered: Remembered) -> str:
    names = [to_data(plain(one)) for one in names]
    listed = f": {json.dumps(names)}" if names else ""
    wrote = (
        json.dumps(remembered.wrote, separators=(",", ":")) if key == "scrape_configs" and remembered.wrote else ""
    )
    return mark.format(
        name=name, key=key, listed=listed, options=said(remembered.options), wrote=f"; wrote {wrote}" if wrote else ""
    )


def is_ours(item: Any, block: Block) -> bool:
    """Whether an item in our block is one that we have put there, and not somebody else since."""
    if isinstance(item, dict):
        return item.get("job_name") in block.listed
    if block.flow:
        return item in block.listed
    return isinstance(item, str) and PurePath(item).name in rule_file_names(block.name)


def positions(text: str, name: str) -> dict[str, list[int]]:
    """Which items of the lists with a block are ours: by their number, from 0."""
    held = _inside(text, name)
    return {block.key: [at for at, item in items.items() if is_ours(item, block)] for block, items in held}


def _inside(text: str, name: str) -> Iterator[tuple[Block, dict[int, Any]]]:
    """Each block of the mixin ``name``, with what is in it by its number in the list, scalars as text."""
    where, data = layout(text), tree(text)
    for key in LISTS:
        block = block_of(text, name, key)
        if block is not None and key in where.keys:
            items = data[key][2] if data[key][0] == "list" else []
            yield (
                block,
                {
                    number: to_data(item)
                    for number, (item, start) in enumerate(zip(items, where.keys[key].items, strict=True))
                    if (is_ours(to_data(item), block) if block.flow else block.start <= start < block.end)
                },
            )
