from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from proof.servers import alertmanager, binaries
from tests.service.server import Server

# Their own nox session installs what they need.
collect_ignore = [] if find_spec("ray") else ["ray"]


def pytest_report_header() -> list[str]:
    return [
        f"{name}: {', '.join(tools.version for tools in kind.every())}"
        for name, kind in (("Prometheus", binaries), ("Alertmanager", alertmanager))
    ]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service with default settings, for all tests that leave it as it is; it logs every rejection."""
    with Server(tmp_path_factory.mktemp("service"), log_rejections=1_000_000) as running:
        yield running


LONGEST = {"e2e", "verify", "drill"}
"""Folders."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: LONGEST.isdisjoint(item.path.parts))
