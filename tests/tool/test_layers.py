"""Imports within the tool go one way: each layer knows the ones below it, and nothing knows who uses it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kronos_mixin

FOLDER = Path(kronos_mixin.__file__).parent

# From the top; packages stand for all of their modules.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("check", "merge", "vendor", "knobs", "reference"),
    ("compile",),
    ("kubernetes", "files", "promtool", "jsonnet", "promql"),
    ("config", "contract", "trace", "yamltext"),
    ("__init__",),
)
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> set[str]:
    """What of the tool a module imports, by the first part of its name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: a relative import"
        if isinstance(node, ast.ImportFrom) and node.module == "kronos_mixin":
            found |= {alias.name if alias.name in LAYER else "__init__" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("kronos_mixin."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not {name.split(".")[0] for name in names} & {"kronos_service", "proof", "benchmarks"}, path
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.relative_to(FOLDER).as_posix())
def test_a_module_imports_from_below(path):
    own = path.relative_to(FOLDER).with_suffix("").parts[0]
    wrong = {name for name in imported(path) - {own} if LAYER[name] <= LAYER[own]}
    assert not wrong, f"{own} imports {wrong}"
