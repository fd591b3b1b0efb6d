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
        ("documents",),
        ("knobs", "series"),
        ("reference",),
        ("compile", "overlay"),
        ("formats",),
        ("kubernetes", "files", "promtool", "jsonnet", "running"),
        ("engines",),
        ("imports", "schema", "trace"),
        ("inputs", "native", "variables"),
        ("grafana",),
        (
            "cache",
            "commands",
            "config",
            "connect",
            "contract",
            "externals",
            "inline",
            "promql",
            "queries",
            "reasons",
            "shape",
            "windows",
            "written",
            "yamltext",
        ),
        ("dialect", "reading"),
        ("labels",),
        ("__init__",),
    ),
)


@pytest.mark.parametrize("module", TOOL.modules())
def test_a_module_imports_from_below(module):
    assert not TOOL.upward(module), "imports go one way: see docs/design.md"
    assert not TOOL.others(module) & {"kronos_service", "proof", "benchmarks", "tests"}
