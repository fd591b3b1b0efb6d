"""Imports go one way: a layer knows those below it, and nothing knows who uses it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Layers:
    """The layers of a package, from the top; a name stands for a module, or for a package and all of its modules."""

    package: str
    folder: Path
    order: Sequence[Sequence[str]]

    @cached_property
    def _layer(self) -> dict[str, int]:
        return {name: number for number, names in enumerate(self.order) for name in names}

    def modules(self) -> list[str]:
        """Every module, as a path below the package's folder."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.py"))

    def upward(self, module: str) -> set[str]:
        """What a module imports of its own package that is not below it."""
        own = module.removesuffix(".py").split("/")[0]
        return {name for name in self.imported(module) - {own} if self._layer[name] <= self._layer[own]}

    def others(self, module: str) -> set[str]:
        """The first name of everything that a module imports from other packages."""
        return {name.split(".")[0] for name, _ in self._imports(module)} - {self.package}

    def imported(self, module: str) -> set[str]:
        """What a module imports of its own package, by the name of the layer's part."""
        found = set()
        for name, members in self._imports(module):
            first, *rest = name.split(".")
            if first != self.package:
                continue
            found |= {rest[0]} if rest else {member if member in self._layer else "__init__" for member in members}
        return found

    def _imports(self, module: str) -> Iterator[tuple[str, list[str]]]:
        """Each imported module, and the names that are taken from it. Relative imports are spelled out."""
        parents = [self.package, *module.split("/")[:-1]]
        for node in ast.walk(ast.parse((self.folder / module).read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name, []) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = parents[: len(parents) - node.level + 1] if node.level else []
                yield ".".join([*base, *filter(None, [node.module])]), [alias.name for alias in node.names]
