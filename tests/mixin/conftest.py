from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kronos_mixin.compile import render, write
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import binaries


@dataclass(frozen=True)
class Compiled:
    """A folder with the compiled mixin."""

    folder: Path

    @property
    def rules(self) -> str:
        """The file with the recording rules."""
        return str(self.folder / "prometheus/kronos-rules.yml")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Compiled:
    folder = tmp_path_factory.mktemp("monitoring")
    write(render(evaluate(mixin_path())), folder)
    return Compiled(folder)


def pytest_generate_tests(metafunc):
    """Run tests that use `tools` on every version of Prometheus, or on the newest if their name says so."""
    if "tools" in metafunc.fixturenames:
        newest = metafunc.function.__name__.endswith("on_the_newest")
        versions = [binaries.newest()] if newest else binaries.every()
        metafunc.parametrize("tools", versions, ids=lambda tools: tools.version, scope="session")
