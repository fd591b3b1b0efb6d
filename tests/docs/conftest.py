"""What the documents are tested against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service with default settings."""
    with Server(tmp_path_factory.mktemp("service")) as running:
        yield running
