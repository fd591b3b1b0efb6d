"""Patterns of file names find what Prometheus finds by them."""

from __future__ import annotations

import pytest

from kronos_mixin.merge.patterns import Patterns


@pytest.fixture
def base(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "link").symlink_to("rules")
    return tmp_path


@pytest.mark.parametrize(
    "pattern", ["rules/*", "rules/k*.yml", "*/kronos.yml", "link/[^a]*", "{}/rules/*", "./rules/*"]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_they_find(base, pattern, there):
    file = base / "rules/kronos.yml"
    if there:
        file.touch()
    pattern = pattern.format(base)
    assert Patterns(base, ["other/*", pattern]).covering(file) == pattern
    assert Patterns(base, [pattern]).covering(base / "rules/below/kronos.yml") is None
    assert Patterns(base, [pattern]).covering(base / "new/kronos.yml") == (pattern if pattern[0] == "*" else None)


@pytest.mark.parametrize(
    ("pattern", "folder", "entry"),
    [
        ("rules/*", True, False),
        ("link/*", True, False),
        ("rules/.*", True, False),
        ("rules/*.yml", False, False),
        ("rules/*/*", False, True),
        ("*/*/*", False, True),
        # On a server that has the folder elsewhere.
        ("/etc/prometheus/rules/*", True, False),
        ("{}/elsewhere/rules/*", True, False),
        ("/etc/prometheus/alerts/*", False, False),
    ],
)
def test_what_else_they_would_see(base, pattern, folder, entry):
    (base / "elsewhere/rules").mkdir(parents=True)
    patterns = Patterns(base, [pattern.format(base)])
    for known_as in ("rules", "link"):
        if pattern.startswith(("/etc", "{}")) and known_as == "link":
            continue
        assert patterns.see(base / known_as, (".hidden.tmp",)) is folder
        assert patterns.see(base / known_as, (".hidden.tmp", "x")) is entry
