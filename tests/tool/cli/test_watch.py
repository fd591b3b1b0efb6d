"""`kronos-mixin compile --watch`, as a program of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from proof.servers.process import Process


@pytest.fixture
def watching(fixtures, tmp_path):
    """A mixin that is being watched, with a library and a configuration, until it has been compiled once."""
    shutil.copytree(fixtures / "lamp-mixin", tmp_path / "lamp-mixin")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor/names.libsonnet").write_text("{title: 'first'}")
    (tmp_path / "more.jsonnet").write_text(
        "(import 'lamp-mixin/mixin.libsonnet') + { grafanaDashboards+:: {"
        " 'more.json': (import 'names.libsonnet') + { uid: $._config.uid } }, _config+:: { uid: 'a' } }"
    )
    (tmp_path / "config.yml").write_text("uid: b\n")
    argv = [sys.executable, "-m", "kronos_mixin", "compile", "--watch", "--mixin", "more.jsonnet"]
    with Process(
        [*argv, "--config", "config.yml"], cwd=tmp_path, log=tmp_path / "log", name="kronos-mixin"
    ) as process:
        process.until = lambda condition: until(process, condition)
        process.until(lambda: process.tail().endswith("files ..."))
        yield process


def until(process, condition):
    deadline = time.monotonic() + 60
    while not condition():
        process.check()
        assert time.monotonic() < deadline, process.tail()
        time.sleep(0.02)


def test_each_change_is_compiled_until_ctrl_c(watching, tmp_path):
    def board():
        return json.loads((tmp_path / "monitoring/grafana/more/more.json").read_text())

    assert board() == {"title": "first", "uid": "b"}
    (tmp_path / "vendor/names.libsonnet").write_text("{title: 'second'}")
    watching.until(lambda: board()["title"] == "second")
    (tmp_path / "config.new").write_text("uid: c\n")
    (tmp_path / "config.new").rename(tmp_path / "config.yml")
    watching.until(lambda: board()["uid"] == "c")
    assert "vendor/names.libsonnet: changed\nmonitoring/grafana/more/more.json\n1 of " in watching.tail()

    (tmp_path / "config.yml").unlink()
    watching.until(lambda: "config.yml: No such file" in watching.tail())
    (tmp_path / "config.yml").write_text("uid: [\n")
    watching.until(lambda: "config.yml:2: is not YAML" in watching.tail())
    (tmp_path / "more.jsonnet").write_text("{ grafanaDashboards: { 'more.json': {title: 'third'} }")
    (tmp_path / "config.yml").write_text("{}")
    watching.until(lambda: "more.jsonnet:1:" in watching.tail(5))
    assert board()["title"] == "second"
    (tmp_path / "more.jsonnet").write_text("{ grafanaDashboards: { 'more.json': {title: 'third'} } }")
    watching.until(lambda: board()["title"] == "third")

    watching.send(signal.SIGINT)
    assert watching.wait(60) == 0
    assert "Traceback" not in watching.tail()


def test_programs_read_a_line_for_each_time(tmp_path):
    board = "{ grafanaDashboards: { 'a.json': {title: '%s'} } }"
    (mixin := tmp_path / "a.jsonnet").write_text(board % "first")
    argv = [sys.executable, "-m", "kronos_mixin", "compile", "--watch", "--mixin", "a.jsonnet", "--format", "json"]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        path, lines = "monitoring/grafana/a/a.json", map(json.loads, process.stdout)
        first = next(lines)
        assert (first["ok"], first["files"]) == (True, [{"path": path, "verb": "add"}])
        mixin.write_text("{")
        second = next(lines)
        assert not second["ok"]
        assert second["error"].startswith("a.jsonnet:1:")
        mixin.write_text(board % "third")
        assert next(lines)["files"] == [{"path": path, "verb": "change"}]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert next(lines, None) is None
