"""Checks of mixins without a contract."""

from __future__ import annotations

import json


def test_check_reports_unrecorded_series(call, fixtures):
    assert call("check", "--mixin", fixtures / "lamp-mixin").stdout == (
        "2 recording rules, 1 alerts, 1 dashboards: nothing found\n"
    )
    done = call("check", "--mixin", fixtures / "kettle-mixin", code=1)
    first, second = done.stdout.splitlines()
    assert first == (
        "grafana/kettle.json: panel 'Boiling' A: reads job:kettle_boiling:rate5m, which no rule of the mixin records"
    )
    assert second.startswith("grafana/kettle.json: panel 'Water' A: is not PromQL")


def test_check_as_json(call, fixtures):
    found = json.loads(call("check", "--mixin", fixtures / "kettle-mixin", "--format", "json", code=1).stdout)
    assert (found["mixin"], found["alerts"], found["dashboards"]) == ("kettle", 1, 1)
    assert found["findings"][0]["place"] == "panel 'Boiling' A"
    assert json.loads(call("check", "--mixin", fixtures / "lamp-mixin", "--format", "json").stdout)["findings"] == []


def test_check_finds_stale_compiled_files(call, fixtures, tmp_path):
    call("compile", "--mixin", fixtures / "lamp-mixin", "--target", "kubernetes")
    assert "nothing found" in call("check", "--mixin", fixtures / "lamp-mixin").stdout
    path = tmp_path / "monitoring/kubernetes/lamp.configmap.yml"
    path.write_text(path.read_text() + "# edited\n")
    done = call("check", "--mixin", fixtures / "lamp-mixin", code=1)
    # The command that mends it, with the options in use.
    again = f"`kronos-mixin compile --mixin {fixtures / 'lamp-mixin'}`"
    assert f"is not what the mixin compiles to: run {again}, and commit the result" in done.stdout
    (tmp_path / "mine.yml").write_text("burnHours: 5")
    options = ("--config", "mine.yml", "--output", "my files", "--name", "lamp")
    call("compile", "--mixin", fixtures / "lamp-mixin", *options)
    (tmp_path / "my files/prometheus/lamp-alerts.yml").unlink()
    done = call("check", "--mixin", fixtures / "lamp-mixin", *options, code=1)
    again = f"compile --mixin {fixtures / 'lamp-mixin'} --config mine.yml --name lamp --output 'my files'"
    assert f"is missing in my files: run `kronos-mixin {again}`" in done.stdout
