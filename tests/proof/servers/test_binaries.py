from __future__ import annotations

import platform
from pathlib import Path

import pytest

from proof.servers import binaries, debian
from proof.servers.binaries import SUITES, Missing, Tools


def put(folder: Path, program: str, version: str) -> None:
    file = folder / program
    file.write_text(f"#!/bin/sh\necho '{program}, version {version}+ds1 (branch: x, revision: y)'\n")
    file.chmod(0o755)


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """A PATH with nothing on it, so no apt-get either."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_every_suite_of_debian(versions):
    if debian.unavailable() is None:
        releases = [tools.release for tools in versions]
        assert releases == sorted(releases)
        assert {release[:2] for release in releases} >= {(2, 42), (2, 53)}
        assert releases[-1] >= (3, 5)
        assert len(versions) >= len(SUITES) - 1  # Unstable may have nothing newer.
    for tools in versions:
        assert tools.prometheus.is_file()
        assert tools.promtool.is_file()


@pytest.mark.usefixtures("versions")
def test_the_newest_is_in_the_cache_now(versions):
    said: list[str] = []
    tools = binaries.newest(say=said.append)
    assert tools in versions
    assert said == []


@pytest.mark.usefixtures("path")
def test_nothing_on_path_and_no_apt_get():
    for call in (binaries.newest, binaries.every):
        with pytest.raises(Missing, match=r"there is no apt-get here.*Install Prometheus and promtool, 2\.42"):
            call()


@pytest.mark.parametrize("missing", ["prometheus", "promtool"])
def test_one_of_two_is_not_enough(path, missing):
    put(path, "promtool" if missing == "prometheus" else "prometheus", "3.5.3")
    with pytest.raises(Missing, match="PATH has none"):
        binaries.newest()


def test_too_old_is_not_enough(path):
    put(path, "prometheus", "2.41.9")
    put(path, "promtool", "2.41.9")
    with pytest.raises(Missing, match="PATH has none"):
        binaries.newest()


def test_path_is_enough_without_debian(path):
    put(path, "prometheus", "3.11.0")
    put(path, "promtool", "3.11.0")
    tools = binaries.newest()
    assert tools == Tools("3.11.0", path / "prometheus", path / "promtool")
    assert tools.release == (3, 11, 0)
    assert binaries.every() == [tools]


def test_another_version_on_path_is_tested_too(path, monkeypatch):
    put(path, "prometheus", "2.50.1")
    put(path, "promtool", "2.50.1")
    shipped = {"bookworm": "2.42.0", "trixie": "2.53.3", "forky": "3.5.3", "sid": "3.5.3"}
    monkeypatch.setattr(binaries, "unavailable", lambda: None)
    monkeypatch.setattr(binaries, "_from_debian", lambda suite, _: Tools(shipped[suite], Path(suite), Path(suite)))
    assert [tools.version for tools in binaries.every()] == ["2.42.0", "2.50.1", "2.53.3", "3.5.3"]
    assert binaries.newest().version == "2.50.1"
    shipped["trixie"] = "2.50.1"
    assert [tools.version for tools in binaries.every()] == ["2.42.0", "2.50.1", "3.5.3"]
    shipped["sid"] = "3.11.0"
    assert [tools.version for tools in binaries.every()] == ["2.42.0", "2.50.1", "3.5.3", "3.11.0"]


@pytest.mark.usefixtures("path")
def test_a_suite_that_cannot_be_fetched(monkeypatch):
    def from_debian(suite: str, _: object) -> Tools:
        if suite in {"forky", "sid"}:
            raise Missing(f"no way to {suite}")
        return Tools("2.53.3", Path(suite), Path(suite))

    monkeypatch.setattr(binaries, "unavailable", lambda: None)
    monkeypatch.setattr(binaries, "_from_debian", from_debian)
    assert binaries.newest().prometheus == Path("trixie")
    with pytest.raises(Missing, match="no way to forky"):
        binaries.every()


def test_two_versions_on_path(path):
    put(path, "prometheus", "3.5.3")
    put(path, "promtool", "2.53.3")
    with pytest.raises(Missing, match=r"is 3\.5\.3, but .* is 2\.53\.3"):
        binaries.newest()


def test_a_program_that_does_not_run(path):
    for program in ("prometheus", "promtool"):
        (path / program).write_text("#!/bin/sh\necho 'cannot open shared object'\nexit 127\n")
        (path / program).chmod(0o755)
    with pytest.raises(Missing, match="names no version; it said: cannot open shared object"):
        binaries.newest()


def test_apt_get_that_is_not_debians(monkeypatch, path):
    for command in ("apt-get", "dpkg", "dpkg-deb"):
        put(path, command, "1")
    monkeypatch.setattr(
        platform, "freedesktop_os_release", lambda: {"ID": "ubuntu", "PRETTY_NAME": "Ubuntu 24.04 LTS"}
    )
    with pytest.raises(Missing, match=r"this system is Ubuntu 24\.04 LTS.*put them on PATH"):
        binaries.newest()
    with pytest.raises(Missing, match=r"Ubuntu 24\.04 LTS.*put them on PATH"):
        debian.debian("forky", ["prometheus"])
