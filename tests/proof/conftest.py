from __future__ import annotations

from typing import Any

import pytest

from proof.servers.binaries import Tools, every


@pytest.fixture(scope="session")
def versions() -> list[Tools]:
    """Every version to test with; a suite that can't be fetched is a failure, never a skip."""
    return every()


@pytest.fixture(scope="session")
def tools(versions: list[Tools]) -> Tools:
    return versions[-1]


@pytest.fixture
def config() -> dict[str, Any]:
    """A configuration that asks for nothing: no target, no rule."""
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}}
