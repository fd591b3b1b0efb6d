"""The formats on the command line, with a mixin of somebody else."""

from __future__ import annotations

import yaml

MIXIN = """{
  prometheusAlerts:: { groups: [{ name: 'g', interval: '15s', rules: [{ alert: 'A', expr: 'up == 0' }] }] },
  grafanaDashboards:: { 'lamp.json': { title: 'Lamp', uid: 'lamp', panels: [{ id: 1, type: 'graph' }] } },
}"""


def test_other_mixins_are_converted_too(call, tmp_path):
    (tmp_path / "lamp-mixin").mkdir()
    (tmp_path / "lamp-mixin/mixin.libsonnet").write_text(MIXIN)
    targets = [part for name in ("grafana-alerts", "grafana-v2", "openslo") for part in ("--target", name)]
    compile_it = ("compile", "--mixin", "lamp-mixin", "--output", "out", "--data-source", "prom")
    done = call(*compile_it, *targets)
    assert done.stdout.splitlines() == ["out/grafana-alerts/lamp-alerts.yml", "out/grafana-v2/lamp.json"]
    assert done.stderr.splitlines() == [
        "grafana-alerts: group g: interval 15s becomes 20s: Grafana takes multiples of 10s",
        "grafana-v2: lamp.json: panels of type graph stay empty: Grafana replaces them in classic dashboards only",
        "openslo: nothing to write: the mixin has no serviceLevelObjectives",
    ]
    (group,) = yaml.safe_load((tmp_path / "out/grafana-alerts/lamp-alerts.yml").read_text())["groups"]
    assert group["rules"][0]["data"][0]["datasourceUid"] == "prom"
    # What the folder holds is compiled again without naming it, and checked.
    assert "out/grafana-v2/lamp.json" in call(*compile_it).stdout
    check = ("check", "--mixin", "lamp-mixin", "--output", "out", "--data-source", "prom")
    assert "grafana-v2" not in call(*check).stdout
    (tmp_path / "out/grafana-v2/lamp.json").write_text("{}")
    assert "grafana-v2/lamp.json: is not what the mixin compiles to" in call(*check, code=1).stdout
    said = call("compile", "--mixin", "lamp-mixin", "--output", "none", "--target", "openslo", code=1).stderr
    assert "nothing to compile: openslo: nothing to write: the mixin has no serviceLevelObjectives" in said
