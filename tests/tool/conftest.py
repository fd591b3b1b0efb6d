from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kronos_mixin.__main__ import app
from proof.servers import binaries

FIXTURES = Path(__file__).parent / "fixtures"


def pytest_generate_tests(metafunc):
    """A test that asks for `tools` runs on every version of Prometheus."""
    if "tools" in metafunc.fixturenames:
        metafunc.parametrize("tools", binaries.every(), ids=lambda tools: tools.version)


@pytest.fixture
def fixtures() -> Path:
    """The folder of two small mixins of other people."""
    return FIXTURES


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls the command line in this process, in an empty folder, where no promtool is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def call(*arguments: object, code: int = 0, answer: str | None = None):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == code, done.output
        return done

    return call
