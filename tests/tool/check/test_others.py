"""Checks of mixins without a contract."""

from __future__ import annotations

import json

from proof.servers import binaries


def test_check_reports_unrecorded_series(call, fixtures):
    assert call("check", "--mixin", fixtures / "lamp-mixin").stdout == (
        "2 recording rules, 1 alerts, 1 dashboards: nothing found\n"
    )
    done = call("check", "--mixin", fixtures / "kettle-mixin", code=1)
    first, second = done.stdout.splitlines()
    assert first == (
        "grafana/kettle.json: panel 'Boiling' A: reads job:kettle_boiling:rate5m, which no rule of the mixin records"
    )
    # Without promtool nobody can tell whether it is PromQL.
    assert second.startswith("grafana/kettle.json: panel 'Water' A: warning: this program can't read it (")
    assert second.endswith("put the promtool of your Prometheus on PATH, to check it")


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


def test_newer_promql_is_for_promtool_to_judge(call, tmp_path, monkeypatch):
    tools = binaries.newest()
    monkeypatch.setenv("PATH", f"{tools.promtool.parent}:/usr/bin:/bin")
    queries = {"rate(x[5m*2])": "experimental", "sum(x": "promtool refuses it: ", "limitk(2, x)": "", "{'a.b'}": ""}
    panels = [{"title": query, "targets": [{"expr": query}]} for query in queries]
    rule = {"record": "a:b:c", "expr": "limitk(2, x)"}
    mixin = {
        "grafanaDashboards": {"a.json": {"panels": panels}},
        "prometheusRules": {"groups": [{"name": "a", "rules": [rule]}]},
    }
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))
    done = call("check", "--mixin", "mixin.libsonnet", "--name", "new", code=1)
    lines = done.stdout.splitlines()
    for query, said in queries.items():
        found = [line for line in lines if f"panel {query!r}" in line]
        assert bool(found) == bool(said), query
        assert all(said in line for line in found)
    # What only needs a feature of the server is no reason to fail, and none to refuse a merge.
    panels.pop(1)
    (tmp_path / "mixin.libsonnet").write_text(json.dumps(mixin))
    assert "nothing but warnings" in call("check", "--mixin", "mixin.libsonnet", "--name", "new").stdout
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    done = call("merge", "prometheus.yml", "--mixin", "mixin.libsonnet", "--name", "new", "--yes")
    assert "need a feature that your Prometheus must be started with" in done.stderr
