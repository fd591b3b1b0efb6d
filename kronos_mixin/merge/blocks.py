"""Our lines in a prometheus.yml: one block for each list, between marks that name the mixin."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from kronos_mixin.compile import rule_file_names
from kronos_mixin.merge.placed import said
from kronos_mixin.merge.prometheusyml import LISTS, MergeError, layout, line_number, to_data, tree
from kronos_mixin.yamltext import item_lines

_BEGIN = (
    "# BEGIN kronos-mixin {name} ({key}{jobs}): put in by `kronos-mixin merge{options}`, "
    "taken out by `kronos-mixin unmerge`"
)
_END = "# END kronos-mixin {name} ({key})"
_BEGINS = re.compile(
    r"[ \t]*# BEGIN kronos-mixin (?P<name>\S+) \((?P<key>\w+)(?:: (?P<jobs>\[.*?\]))?\)"
    r"(?:: put in by `kronos-mixin merge(?P<options>[^`]*)`)?"
)
_ENDS = re.compile(r"[ \t]*# END kronos-mixin (?P<name>\S+) \((?P<key>\w+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """Our lines for one mixin in one list; `start` and `end` are indexes into the text."""

    name: str
    key: str
    jobs: tuple[str, ...]
    """The scrape jobs in it that are ours."""
    options: str
    """Those of the merge that put it in, as a shell reads them."""
    start: int
    end: int


def blocks(text: str) -> list[Block]:
    """All our blocks, of any mixin. Raises MergeError for a mark without its partner."""
    found: list[Block] = []
    begun: tuple[int, re.Match[str]] | None = None
    start = 0
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if begins := _BEGINS.match(line):
            if begun is not None:
                break
            begun = start, begins
        elif ends := _ENDS.match(line):
            if begun is None or begun[1].group("name", "key") != ends.group("name", "key"):
                number = line_number(text, start)
                raise MergeError(f"line {number}: an END mark of kronos-mixin without its BEGIN: delete the line")
            jobs = tuple(json.loads(begun[1]["jobs"] or "[]"))
            options = begun[1]["options"] or ""
            found.append(Block(ends["name"], ends["key"], jobs, options, begun[0], start + len(line)))
            begun = None
        start += len(line)
    if begun is not None:
        line = line_number(text, begun[0])
        raise MergeError(f"line {line}: a BEGIN mark of kronos-mixin without its END: delete the rest of the block")
    return found


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


def lines_of(name: str, key: str, items: list[Any], dash: int, offset: int, options: Sequence[str]) -> list[str]:
    """The lines of a block: its marks, and ``items`` with their dashes at column ``dash``.

    Raises MergeError for ``options`` that a comment can't hold.
    """
    jobs = [item["job_name"] for item in items if isinstance(item, Mapping)]
    named = f": {json.dumps(jobs)}" if jobs else ""
    margin = " " * dash
    return [
        margin + _BEGIN.format(name=name, key=key, jobs=named, options=said(options)),
        *(line for item in items for line in item_lines(item, dash, offset)),
        margin + _END.format(name=name, key=key),
    ]


def is_ours(item: Any, block: Block) -> bool:
    """Whether an item in our block is one that we have put there, and not somebody else since."""
    if isinstance(item, dict):
        return item.get("job_name") in block.jobs
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
                    if block.start <= start < block.end
                },
            )
