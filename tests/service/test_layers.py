"""Imports within the service go one way: from the server down to the forecaster."""

from __future__ import annotations

from pathlib import Path

import pytest

import kronos_service
from tests.layers import Layers

SERVICE = Layers(
    "kronos_service",
    Path(kronos_service.__file__).parent,
    (
        ("__main__",),
        ("cli", "ray_serve"),
        ("app", "reference"),
        ("http",),
        ("lifecycle",),
        ("telemetry",),
        ("api",),
        ("forecaster",),
        ("settings",),
        ("keys",),
        ("environment", "signals", "cgroups"),
        ("__init__",),
    ),
)
# What makes a module part of a server, and what makes it part of the monitoring.
SERVER = {"fastapi", "starlette", "uvicorn", "httptools", "limits"}
MONITORING = {"prometheus_client", "structlog"}


@pytest.mark.parametrize("module", SERVICE.modules())
def test_a_module_imports_from_below(module):
    assert not SERVICE.upward(module), "imports go one way: see docs/design.md"
    assert not SERVICE.others(module) & {"proof", "benchmarks", "tests"}


@pytest.mark.parametrize("module", [m for m in SERVICE.modules() if m.startswith(("api/", "forecaster/"))])
def test_what_callers_say_and_the_forecaster_know_no_server(module):
    assert not SERVICE.others(module) & (SERVER | MONITORING)


@pytest.mark.parametrize("module", [m for m in SERVICE.modules() if m.startswith("forecaster/")])
def test_the_forecaster_stands_alone(module):
    imported = SERVICE.imported(module)
    assert imported <= {"forecaster"}, imported
