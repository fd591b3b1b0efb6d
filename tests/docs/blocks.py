"""The fenced blocks of a Markdown file.

```sh run            commands that a test pastes into a shell; all blocks of a page go into one, in order
```sh run if=jq      the same, where the program jq is installed
```diff file=PATH    lines to add to a file, beside some that it has
```text output       what the block above prints; `...` stands for anything
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w+)(?P<flags>[^\n]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block; `output` is the one below it, if that is marked as its output."""

    language: str
    flags: tuple[str, ...]
    text: str
    where: str
    output: str | None = None

    @property
    def runs(self) -> bool:
        return "run" in self.flags

    @property
    def needs(self) -> str | None:
        """A program without which the block is left out."""
        return next((flag.removeprefix("if=") for flag in self.flags if flag.startswith("if=")), None)


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    for match, below in zip(found, [*found[1:], None], strict=True):
        output = None
        if below and below["flags"].split() == ["output"] and not text[match.end() : below.start()].strip():
            output = _body(below)
        where = f"{page.name}, line {text.count(chr(10), 0, match.start()) + 1}"
        yield Block(match["language"], tuple(match["flags"].split()), _body(match), where, output)


def _body(match: re.Match[str]) -> str:
    return re.sub(f"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
