from __future__ import annotations

from pathlib import Path

from kronos_mixin.cache import cache


def test_the_folder_of_the_cache(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("KRONOS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache() == Path("/home/somebody/.cache/kronos-monitoring")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache() == Path("/home/somebody/.cache/kronos-monitoring")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache() == Path("/elsewhere/kronos-monitoring")
    monkeypatch.setenv("KRONOS_CACHE", "~/own")
    assert cache() == Path("/home/somebody/own")
