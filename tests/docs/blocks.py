"""The fenced blocks of a Markdown file, and running those that say so.

```sh run            a shell block that a test runs; all blocks of a page run in order, in one folder
```sh run if=jq      the same, where the program jq is there
```sh run stop       runs after everything else: it stops what the page has started
```text output       what the block above prints; `...` stands for anything
```yaml file=x.yml   a file that the reader is told to save: the test saves it
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^( *)```(\S+)([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_SECONDS = 120
_COMPARED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """One fenced block; `output` is the one below it, if that is marked as its output."""

    language: str
    flags: tuple[str, ...]
    text: str
    line: int
    output: str | None = None

    @property
    def runs(self) -> bool:
        return "run" in self.flags

    def option(self, name: str) -> str | None:
        return next((flag.partition("=")[2] for flag in self.flags if flag.startswith(f"{name}=")), None)


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    for match, following in zip(found, [*found[1:], None], strict=True):
        output = None
        if following and following[3].split() == ["output"] and not text[match.end() : following.start()].strip():
            output = _body(following)
        line = text.count("\n", 0, match.start()) + 1
        yield Block(match[2], tuple(match[3].split()), _body(match), line, output)


def _body(match: re.Match[str]) -> str:
    return re.sub(f"^{match[1]}", "", match[4], flags=re.MULTILINE)


class Reader:
    """Someone who works through a page, in a folder that looks like the checkout, and with other ports."""

    def __init__(
        self, folder: Path, checkout: Path, environment: Mapping[str, str], other: Mapping[str, str]
    ) -> None:
        """`other`: text of the page to what it is here, such as localhost:8000."""
        self.folder = folder
        self.ran: list[int] = []
        self._environment = {**os.environ, **environment}
        self._other = other
        for entry in checkout.iterdir():
            # Everything but hidden files, which are the checkout's own business; the reader writes beside the links.
            if not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            if name := block.option("file"):
                (self.folder / name).write_text(self._here(block.text), encoding="utf-8")
            if block.runs and "stop" not in block.flags:
                self._run(page, block)

    def stop(self, page: Path) -> None:
        for block in blocks(page):
            if "stop" in block.flags:
                self._run(page, block)

    def _here(self, text: str) -> str:
        for there, here in self._other.items():
            text = text.replace(there, here)
        return text

    def _run(self, page: Path, block: Block) -> None:
        needed = block.option("if")
        if needed and shutil.which(needed, path=self._environment["PATH"]) is None:
            return
        where = f"{page.name}, line {block.line}"
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self._here(block.text)],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        said = f"{block.text}\n{result.stdout}\n{result.stderr}"
        assert result.returncode == 0, f"{where} ended with {result.returncode}:\n{said}"
        if block.output is not None:
            expected = self._here(block.output)
            matches = doctest.OutputChecker().check_output(expected, result.stdout, _COMPARED)
            assert matches, f"{where} says otherwise; expected:\n{expected}\n{said}"
        self.ran.append(block.line)
