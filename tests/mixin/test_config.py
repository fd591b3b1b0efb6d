"""Every user's own labels, names and windows: the mixin compiles, checks, and loads in every Prometheus."""

from __future__ import annotations

import functools
import json
import re

import _gojsonnet
import _jsonnet
import pytest

from kronos_mixin.check import check
from kronos_mixin.compile import render, write
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate
from proof import binaries, promtool

DEFAULT = evaluate(mixin_path())
ALERTS = [rule["alert"] for group in DEFAULT.alerts for rule in group["rules"]]

CONFIGS = {
    "no aggregation labels": {"aggregationLabels": []},
    "one aggregation label": {"aggregationLabels": ["cluster"]},
    "another job": {"selector": 'job="forecasts", env=~"prod|test"', "scrape": {"job": "forecasts"}},
    "another rate window": {"rateWindow": "2m"},
    "other windows": {"requests": {"sparseWindow": "15m", "guardWindow": "30m"}},
    "other objectives": {"objectives": {"latency": {"seconds": {"/v1/predict/single": "2.5"}}}},
    "extra labels": {"alertLabels": {"team": "quant"}, "alertAnnotations": {"chat": "#quant"}},
    "no dashboard": {"dashboards": {"overview": {"enabled": False}}},
    "no alert at all": {"alerts": {name: {"enabled": False} for name in ALERTS}},
    **{f"without {name}": {"alerts": {name: {"enabled": False}}} for name in ALERTS},
}


@functools.cache
def compiled(name: str) -> Mixin:
    return evaluate(mixin_path(), {"kronos": CONFIGS[name]})


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_compiles_and_checks(name, tmp_path):
    config = CONFIGS[name]
    mixin = compiled(name)
    files = render(mixin)
    write(files, tmp_path)
    # A matcher of the user's own may name labels that the contract can't know.
    own = {"matches env"} if "selector" in config else set()
    # What is switched off reads nothing any more.
    own |= {"is recorded, but no"} if {"alerts", "dashboards"} & config.keys() else set()
    found = [str(finding) for finding in check(mixin, load_contract(), files, tmp_path)]
    assert [line for line in found if not any(word in line for word in own)] == []


def test_every_config_loads(tools, tmp_path):
    for name in CONFIGS:
        folder = tmp_path / name
        write(render(compiled(name)), folder)
        for path in (folder / "prometheus").glob("kronos-*.yml"):
            promtool.check_rules(tools, path)


def test_a_config_does_what_it_says():
    text = json.dumps([compiled("another job").rules, compiled("another job").alerts])
    assert 'job=\\"forecasts\\", env=~\\"prod|test\\"' in text
    assert "kronos-api" not in text
    assert compiled("another job").scrape_configs[0]["job_name"] == "forecasts"
    assert "cluster" not in json.dumps(compiled("no aggregation labels").rules)
    windows = set(re.findall(r"rate(\d+\w)", json.dumps(compiled("another rate window").rules)))
    assert windows == {"2m", "30m"}
    assert [r["alert"] for g in compiled("no alert at all").alerts for r in g["rules"]] == []
    for group in compiled("extra labels").alerts:
        for rule in group["rules"]:
            assert rule["labels"]["team"] == "quant"
            assert rule["annotations"]["chat"] == "#quant"
    off = compiled("no dashboard")
    assert off.dashboards == {}
    assert "dashboard_url" not in json.dumps(off.alerts)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rateWindw": "1m"}, "No such knob: _config.kronos.rateWindw."),
        ({"alerts": {"KronosServiceDown": {"treshold": "1"}}}, "kronos.alerts.KronosServiceDown.treshold"),
        ({"alerts": {"KronosOnFire": {"enabled": True}}}, "kronos.alerts.KronosOnFire"),
        ({"objectives": {"latency": {"seconds": {"/v1/predict/single": "5"}}}}, "5 is not a bucket of"),
        ({"objectives": {"latency": {"seconds": {"/v1/predict": "5.0"}}}}, "which is no route"),
    ],
)
def test_a_knob_that_cannot_work_is_refused(config, message):
    with pytest.raises(CompileError, match=re.escape(message)):
        evaluate(mixin_path(), {"kronos": config})


SUM = """
    local other = {
      _config+:: { threshold: 1, kronosLike: { unknown: true } },
      prometheusAlerts+:: { groups+: [{ name: 'other', rules: [] }] },
      grafanaDashboards+:: { 'other.json': {} },
    };
    local sum = %s;
    {
      alerts: [group.name for group in sum.prometheusAlerts.groups],
      dashboards: std.objectFields(sum.grafanaDashboards),
    }
"""


@pytest.mark.parametrize("order", ["other + (import 'mixin.libsonnet')", "(import 'mixin.libsonnet') + other"])
def test_it_can_be_summed_with_another_mixin(order):
    summed = json.loads(_jsonnet.evaluate_snippet(str(mixin_path() / "sum"), SUM % order))
    assert {"other", "kronos-request-alerts"} <= set(summed["alerts"])
    assert summed["dashboards"] == ["kronos-dashboard.json", "other.json"]


def test_go_jsonnet_gives_the_same():
    fields = ["prometheusRules", "prometheusAlerts", "grafanaDashboards", "prometheusScrapeConfigs"]
    snippet = f"local m = import 'mixin.libsonnet'; {{ [f]: m[f] for f in {fields} }}"
    name = str(mixin_path() / "both")
    # Not byte for byte: they print floats differently.
    cpp, go = (json.loads(vm.evaluate_snippet(name, snippet)) for vm in (_jsonnet, _gojsonnet))
    assert cpp == go


def test_the_safe_set():
    """Only what Prometheus 2.42 and vmalert know as well."""
    for group in [*DEFAULT.rules, *DEFAULT.alerts]:
        assert group.keys() <= {"name", "interval", "limit", "rules"}
        for rule in group["rules"]:
            assert rule.keys() <= {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


def test_versions_differ():
    """The tests over `tools` mean little if they all run one version."""
    releases = [tools.release[:2] for tools in binaries.every()]
    assert len(set(releases)) == len(releases)
