from __future__ import annotations

import json

import pytest
import yaml

from kronos_mixin.compile import render, write
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
            # Laid out over lines, but the same but for blanks.
            assert "".join(one["expr"].split()) == "".join(other["expr"].split())
    assert json.loads(files["grafana/kronos-dashboard.json"]) == MIXIN.dashboards["kronos-dashboard.json"]


def test_write_replaces_and_removes_ours_and_nothing_else(tmp_path):
    grafana = tmp_path / "grafana"
    grafana.mkdir()
    (grafana / "kronos-gone.json").write_text("{}")
    (grafana / "theirs.json").write_text("{}")
    (tmp_path / "README.md").write_text("by hand")
    write({"grafana/kronos-a.json": "1"}, tmp_path)
    write({"grafana/kronos-a.json": "2"}, tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["README.md", "grafana/kronos-a.json", "grafana/theirs.json"]
    assert (grafana / "kronos-a.json").read_text() == "2"


def test_a_failure_half_way_changes_nothing(tmp_path):
    write({"grafana/kronos-a.json": "old"}, tmp_path)
    (tmp_path / "prometheus").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="prometheus"):
        write({"grafana/kronos-a.json": "new", "prometheus/kronos-b.yml": "new"}, tmp_path)
    assert [path.name for path in (tmp_path / "grafana").iterdir()] == ["kronos-a.json"]
    assert (tmp_path / "grafana" / "kronos-a.json").read_text() == "old"
