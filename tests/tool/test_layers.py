"""Imports within the tool go one way."""

from __future__ import annotations

from pathlib import Path

import pytest

import kronos_mixin
from tests.layers import Layers

TOOL = Layers(
    "kronos_mixin",
    Path(kronos_mixin.__file__).parent,
    (
        ("__main__",),
        ("cli",),
        ("drill",),
        ("check", "merge", "push", "serve", "verify", "vendor"),
        ("documents", "series"),
        ("compile", "overlay"),
        ("formats",),
        ("files", "jsonnet", "promtool", "running"),
        ("schema",),
        ("grafana", "inputs"),
        ("cache", "changes", "commands", "config", "connect", "contract", "promql", "queries"),
        ("shards", "windows", "written", "yamltext"),
        ("__init__",),
    ),
)


@pytest.mark.parametrize("module", TOOL.modules())
def test_a_module_imports_from_below(module):
    assert not TOOL.upward(module), "imports go one way: see docs/design.md"
    assert not TOOL.others(module) & {"kronos_service", "proof", "benchmarks", "tests"}
