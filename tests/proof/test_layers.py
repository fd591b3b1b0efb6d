"""Imports within the proof go one way: pictures and demo show a scene, which runs on servers."""

from __future__ import annotations

from pathlib import Path

import pytest

import proof
from tests.layers import Layers

PROOF = Layers(
    "proof",
    Path(proof.__file__).parent,
    (
        ("cluster", "demo", "drill", "pictures", "ray", "rulers", "grafana_types", "jsonnetfmt"),
        ("image", "scene"),
        ("servers", "units"),
        ("__init__",),
    ),
)


@pytest.mark.parametrize("module", PROOF.modules())
def test_a_module_imports_from_below(module):
    assert not PROOF.upward(module), "imports go one way: see docs/design.md"
    assert not PROOF.others(module) & {"benchmarks", "tests"}
