"""Where a mistake can be made, and what it looks like there."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

Replace = Callable[[re.Match[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: `old` at `start` in a file, relative to the checkout, has become `new`; `after` follows it."""

    operator: str
    file: str
    line: int
    start: int
    old: str
    new: str
    after: str

    def applied(self, text: str) -> str:
        """The text of the file with the mistake."""
        if not text.startswith(self.old, self.start):
            raise ValueError(f"{self.file} has changed since the mistakes were listed")
        return text[: self.start] + self.new + text[self.start + len(self.old) :]

    def __str__(self) -> str:
        old, new = (_short(text) for text in (self.old, self.new))
        return f"{self.file}:{self.line}: {old} -> {new or 'nothing'}"


@dataclass(frozen=True)
class Operator:
    """A kind of mistake: a pattern, in files that match a glob, and what people write in its place.

    `prose` is whether it is about sentences for people; all others leave those alone.
    """

    name: str
    glob: str
    pattern: str
    replace: Replace
    prose: bool = False

    def mutants(self, root: Path) -> Iterator[Mutant]:
        """All mistakes of this kind that can be made below `root`."""
        compiled = re.compile(self.pattern, re.MULTILINE)
        for path in sorted(root.glob(self.glob)):
            text = path.read_text(encoding="utf-8")
            ends = [match.end() for match in re.finditer("\n", text)]
            silent = [] if path.suffix != ".libsonnet" else [*_COMMENT.finditer(text)]
            if path.suffix == ".libsonnet" and not self.prose:
                silent += _PROSE.finditer(text)
            spans = [match.span() for match in silent]
            for match in compiled.finditer(text):
                if any(start <= match.start() < end for start, end in spans):
                    continue
                for new in self.replace(match):
                    if new != match[0]:
                        file = path.relative_to(root).as_posix()
                        line = bisect(ends, match.start()) + 1
                        after = text[match.end() :].split("\n", 1)[0][:40]
                        yield Mutant(self.name, file, line, match.start(), match[0], new, after)


_COMMENT = re.compile(r"^ *//.*$|(?<=[,{\[]) +// .*$", re.MULTILINE)
# Up to the line that ends in a comma.
_PROSE = re.compile(
    r"\b(?:title|description|summary|promise|bad|axis|empty)\+?: (?:[^\n]*[^,\n{]\n)*?[^\n]*(?:,|\{)$", re.MULTILINE
)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else f"{words[:57]}..."
