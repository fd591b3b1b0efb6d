from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from kronos_mixin import promql
from kronos_mixin.compile import render, targets_in, write
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate

MIXIN = evaluate(mixin_path())


def test_the_same_mixin_gives_the_same_bytes():
    assert render(evaluate(mixin_path())) == render(MIXIN)


def test_what_is_written_is_what_the_mixin_holds():
    files = render(MIXIN)
    alerts = yaml.safe_load(files["prometheus/kronos-alerts.yml"])["groups"]
    assert [g["name"] for g in alerts] == [g["name"] for g in MIXIN.alerts]
    for written, held in zip(alerts, MIXIN.alerts, strict=True):
        for one, other in zip(written["rules"], held["rules"], strict=True):
            assert {**one, "expr": None} == {**other, "expr": None}
            # Laid out over lines, but the same expression.
            assert promql.equivalent(one["expr"], other["expr"])
    assert json.loads(files["grafana/kronos-dashboard.json"]) == MIXIN.dashboards["kronos-dashboard.json"]


def test_write_replaces_and_removes_ours_and_nothing_else(tmp_path):
    write({"grafana/kronos-a.json": "1", "grafana/kronos-gone.json": "{}", "kubernetes/gone.yml": ""}, tmp_path)
    (tmp_path / "grafana" / "kronos-theirs.json").write_text("{}")
    (tmp_path / "README.md").write_text("by hand")
    write({"grafana/kronos-a.json": "2"}, tmp_path)
    assert listing(tmp_path) == ["README.md", "grafana/kronos-a.json", "grafana/kronos-theirs.json", "kronos.sha256"]
    assert (tmp_path / "grafana/kronos-a.json").read_text() == "2"
    assert not (tmp_path / "kubernetes").exists()


def test_a_failure_half_way_changes_nothing(tmp_path):
    write({"grafana/kronos-a.json": "old"}, tmp_path)
    (tmp_path / "prometheus").write_text("a file where a folder should be")
    before = listing(tmp_path)
    with pytest.raises(OSError, match="prometheus"):
        write({"grafana/kronos-a.json": "new", "other/x.yml": "", "prometheus/kronos-b.yml": "new"}, tmp_path)
    assert listing(tmp_path) == before
    assert (tmp_path / "grafana/kronos-a.json").read_text() == "old"
    assert not (tmp_path / "other").exists()


def test_a_file_of_somebody_else_is_never_replaced(tmp_path):
    (tmp_path / "grafana").mkdir()
    theirs = tmp_path / "grafana/kronos-dashboard.json"
    for text in ('{"title": "theirs"}', '{"uid": "other"}', "no json", "[]"):
        theirs.write_text(text)
        with pytest.raises(FileExistsError, match="was not written by this program"):
            write(render(MIXIN), tmp_path)
        assert listing(tmp_path) == ["grafana/kronos-dashboard.json"]
        assert theirs.read_text() == text
    theirs.write_bytes(b"\xff")
    with pytest.raises(FileExistsError):
        write(render(MIXIN), tmp_path)


def test_files_from_before_there_was_a_manifest_are_replaced(tmp_path):
    files = render(MIXIN)
    write(files, tmp_path)
    (tmp_path / "kronos.sha256").unlink()
    alerts = tmp_path / "prometheus/kronos-alerts.yml"
    alerts.write_text(alerts.read_text() + "# older\n")
    board = tmp_path / "grafana/kronos-dashboard.json"
    board.write_text(board.read_text().replace('"title": "', '"title": "Older ', 1))
    write(files, tmp_path)
    assert alerts.read_text() == files["prometheus/kronos-alerts.yml"]
    assert board.read_text() == files["grafana/kronos-dashboard.json"]


def test_what_is_left_over_and_was_edited_stays(tmp_path):
    write({"grafana/a.json": "1", "grafana/b.json": "2"}, tmp_path)
    (tmp_path / "grafana/a.json").write_text("edited")
    assert write({}, tmp_path) == [tmp_path / "grafana/a.json"]
    assert listing(tmp_path) == ["grafana/a.json", "kronos.sha256"]


def test_a_manifest_that_leads_elsewhere_removes_nothing(tmp_path):
    (tmp_path / "precious").write_text("1")
    digest = hashlib.sha256(b"1").hexdigest()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/kronos.sha256").write_text(f"{digest}  ../precious\n{digest}  {tmp_path}/precious\nnonsense\n")
    write({}, tmp_path / "out")
    assert (tmp_path / "precious").exists()


def test_the_manifest_is_one_of_sha256sum(tmp_path):
    write(render(MIXIN, ["plain", "kubernetes"]), tmp_path)
    done = subprocess.run(["sha256sum", "--check", "kronos.sha256"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0
    assert targets_in(tmp_path) == {"plain", "kubernetes"}


@pytest.mark.parametrize("step", range(8))
def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, step):
    """Whichever file it is that does not fit, or can't take its place."""
    write({"a/one": "1", "a/two": "2", "gone": "3"}, tmp_path)
    before = {name: (tmp_path / name).read_text() for name in listing(tmp_path)}
    left = step

    def failing(function):
        def fails(*arguments, **options):
            nonlocal left
            left -= 1
            if left == -1:
                raise OSError(28, "No space left on device")
            return function(*arguments, **options)

        return fails

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(os.fsync))
        patch.setattr(Path, "replace", failing(Path.replace))
        patch.setattr(Path, "unlink", failing(Path.unlink) if step == 7 else Path.unlink)
        with pytest.raises(OSError, match="No space"):
            write({"a/one": "new", "a/two": "new", "b/three": "new"}, tmp_path)
    assert {name: (tmp_path / name).read_text() for name in listing(tmp_path)} == before
    assert not (tmp_path / "b").exists()


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
