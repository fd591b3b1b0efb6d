"""How the page gets built, as far as it goes without Node: `nox -s bench_live` and `nox -s pictures` build it."""

from __future__ import annotations

import pytest

from kronos_mixin.serve import app


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """A cache with nothing in it, and no program on PATH."""
    monkeypatch.setenv("KRONOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()


def program(tmp_path, name, script):
    file = tmp_path / "bin" / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_without_node(tmp_path):
    with pytest.raises(app.AppError, match="node is not on PATH, which the page is built with: install Node 20"):
        app.build(print)
    assert not (tmp_path / "cache").exists()


def test_without_npm(tmp_path):
    program(tmp_path, "node", "echo v22.1.0")
    with pytest.raises(app.AppError, match="npm is not on PATH"):
        app.build(print)


@pytest.mark.parametrize("version", ["v18.19.0", "", "nonsense"])
def test_a_node_that_is_too_old(tmp_path, version):
    program(tmp_path, "node", f"echo {version}")
    program(tmp_path, "npm", "exit 1")
    with pytest.raises(app.AppError, match="install Node 20 or newer"):
        app.build(print)


def test_npm_fails(tmp_path):
    program(tmp_path, "node", "echo v20.0.0")
    program(tmp_path, "npm", "echo no route to the registry >&2; exit 1")
    said = []
    with pytest.raises(app.AppError, match=r"npm ci .*failed:\nno route to the registry"):
        app.build(said.append)
    assert "500 MB" in said[0]


def test_what_is_built_once_is_taken_again(tmp_path):
    """This npm leaves a page behind, and notes each call."""
    program(tmp_path, "node", "echo v20.0.0")
    build = 'case "$*" in *build*) /bin/mkdir new; echo > new/index.html;; esac'
    program(tmp_path, "npm", f'echo "$*" >> {tmp_path}/calls; {build}')
    built = app.build(print)
    assert (built / "index.html").is_file()
    assert (tmp_path / "calls").read_text().splitlines() == [
        "ci --no-fund --no-audit",
        "run --silent build -- --outDir new --emptyOutDir",
    ]
    (tmp_path / "bin/node").unlink()
    assert app.build(print) == built
    assert len((tmp_path / "calls").read_text().splitlines()) == 2
