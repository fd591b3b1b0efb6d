"""With users' own labels, names and windows the mixin compiles, passes its checks, and loads in every Prometheus."""

from __future__ import annotations

import functools
import json
import re

import _jsonnet
import pytest

from kronos_mixin.check.ours import check
from kronos_mixin.compile import render, rule_files, write
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate
from kronos_mixin.jsonnet.engines import Choice
from proof.servers import binaries, promtool, victoriametrics

DEFAULT = evaluate(mixin_path())
ALERTS = list(DEFAULT.config["alerts"])
DASHBOARDS = sorted(DEFAULT.config["dashboards"].keys() & {"overview", "inference", "slo", "instances"})
BURN = DEFAULT.config["objectives"]["burn"]

CONFIGS = {
    "no aggregation labels": {"aggregationLabels": []},
    "one aggregation label": {"aggregationLabels": ["cluster"]},
    "another job": {"job": "forecasts"},
    "another selector": {"selector": 'job=~"forecasts|kronos-.*", env="prod"'},
    "a selector with everything": {
        "aggregationLabels": ["env", "zone"],
        "selector": r'zone="\"x\", y", job=~"forecasts|kronos.*", env!="a", pod!=""',
    },
    "another rate window": {"rateWindow": "2m"},
    "other windows": {"requests": {"sparseWindow": "15m", "guardWindow": "30m"}},
    "other objectives": {"objectives": {"latency": {"seconds": {"/v1/predict/single": "2.5"}}}},
    "extra labels": {"alertLabels": {"team": "quant"}, "alertAnnotations": {"chat": "#quant"}},
    "logs in Loki": {"loki": {"enabled": True, "datasource": "team-loki", "selector": 'cluster=~"${cluster:pipe}"'}},
    "no dashboard": {"dashboards": {name: {"enabled": False} for name in DASHBOARDS}},
    **{f"without the dashboard {name}": {"dashboards": {name: {"enabled": False}}} for name in DASHBOARDS},
    "two jobs are expected": {
        "selector": 'job=~"kronos-.*"',
        "expectedTargets": [{"job": "kronos-api"}, {"job": "kronos-batch"}],
    },
    "no job is expected": {"expectedTargets": []},
    "one pair of burn windows": {"objectives": {"burn": BURN[:1]}},
    "a month of data": {"objectives": {"retention": "60d"}},
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
    # Users' matchers may name labels that are not in the contract.
    own = {"matches env", "matches pod"} if "selector" in config else set()
    # Disabled alerts and dashboards read nothing.
    own |= {"is recorded, but no", "is read by no"} if {"alerts", "dashboards"} & config.keys() else set()
    found = [str(finding) for finding in check(mixin, load_contract(), files, tmp_path)]
    assert [line for line in found if not any(word in line for word in own)] == []


@pytest.fixture(scope="module")
def all_rule_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    for number, name in enumerate(CONFIGS):
        for file, text in rule_files(compiled(name)).items():
            (folder / f"{number}-{file}").write_text(text)
    return sorted(folder.iterdir())


def test_every_config_loads(tools, all_rule_files):
    for path in all_rule_files:
        promtool.check_rules(tools, path)


@pytest.mark.parametrize("vm", victoriametrics.every(), ids=lambda vm: vm.version)
def test_every_config_loads_in_vmalert(vm, all_rule_files, tmp_path):
    assert len(all_rule_files) == 2 * len(CONFIGS)
    victoriametrics.check_rules(vm, all_rule_files)
    # VictoriaMetrics fails where promtool only warns.
    twice = tmp_path / "twice.yml"
    rules = [{"alert": "Twice", "expr": "up == 0"}] * 2
    twice.write_text(json.dumps({"groups": [{"name": "twice", "rules": rules}]}))
    with pytest.raises(victoriametrics.CheckFailed, match="duplicate"):
        victoriametrics.check_rules(vm, [twice])


def test_a_config_does_what_it_says():
    text = json.dumps([compiled("another job").rules, compiled("another job").alerts])
    assert 'up{job=\\"forecasts\\"}' in text
    assert "kronos-api" not in text
    assert 'up{job=~\\"forecasts|kronos-.*\\", env=\\"prod\\"}' in json.dumps(compiled("another selector").alerts)
    assert compiled("another job").scrape_configs[0]["job_name"] == "forecasts"
    # Recorded series keep the job, but not env.
    assert 'job_route:kronos_requests_failed:increase1h{job=~\\"forecasts|kronos-.*\\"}' in json.dumps(
        compiled("another selector").alerts
    )
    kept = r'kronos_requests:rate5m{zone="\"x\", y", job=~"forecasts|kronos.*", env!="a"'
    assert any(kept in rule["expr"] for g in compiled("a selector with everything").rules for rule in g["rules"])
    assert "cluster" not in json.dumps(compiled("no aggregation labels").rules)
    windows = set(re.findall(r"rate(\d+\w)", json.dumps(compiled("another rate window").rules)))
    assert windows == {"2m", "30m", "5m", "1h", "2h", "6h", "1d", "3d"}
    assert "[15d]" in json.dumps(DEFAULT.rules)
    assert "[30d]" in json.dumps(compiled("a month of data").rules)
    assert "[15d]" not in json.dumps(compiled("a month of data").rules)
    (missing,) = [
        r
        for g in compiled("two jobs are expected").alerts
        for r in g["rules"]
        if "Missing" in r["alert"] and "absent" in r["expr"]
    ]
    assert re.findall(r"absent\(.*?\)", missing["expr"]) == [
        'absent(up{job="kronos-api"})',
        'absent(up{job="kronos-batch"})',
    ]
    burns = [
        r for g in compiled("one pair of burn windows").alerts for r in g["rules"] if r["alert"].endswith("Burn")
    ]
    assert [rule["labels"]["long"] for rule in burns] == ["1h", "1h"]
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
        ({"objectives": {"latency": {"seconds": {"/v1/predict/single": "6"}}}}, "must be a bucket of"),
        ({"objectives": {"latency": {"seconds": {"/v1/predict": "5.0"}}}}, "/v1/predict"),
        ({"objectives": {"latency": {"target": "0.93"}}}, "the alert can never fire"),
        ({"requests": {"sparseWindow": "5m"}}, "must be longer than rateWindow"),
    ],
)
def test_impossible_values_are_refused(config, message):
    with pytest.raises(CompileError, match=re.escape(message)):
        evaluate(mixin_path(), {"kronos": config})


@pytest.mark.parametrize("histograms", ["classic", "both"])
def test_counts_of_an_hour_delay_no_rate(histograms):
    """With many instances they take as long as the rates that they would share a group with."""
    groups = evaluate(mixin_path(), {"kronos": {"histograms": histograms}}).rules
    counting = [["increase(" in rule["expr"] for rule in group["rules"]] for group in groups]
    assert [all(group) for group in counting if any(group)] == [True, True, True]


@pytest.mark.parametrize("count", [5, 12, 60])
def test_no_group_has_more_rules_than_mimir_takes(count):
    burn = [
        {"long": f"{number + 1}h", "short": "5m", "factor": "2", "for": "2m", "severity": "warning"}
        for number in range(count)
    ]
    mixin = evaluate(mixin_path(), {"kronos": {"objectives": {"burn": burn}, "histograms": "both"}})
    groups = [*mixin.rules, *mixin.alerts]
    assert max(len(group["rules"]) for group in groups) <= 20
    assert len({group["name"] for group in groups}) == len(groups)
    burning = [rule for group in mixin.alerts for rule in group["rules"] if rule["alert"].endswith("Burn")]
    assert len(burning) == 2 * count
    over_a_day = [group for group in mixin.rules if group["interval"] != "30s"]
    assert {rule["record"] for group in over_a_day for rule in group["rules"]} >= {
        "job:kronos_availability_budget_left:ratio",
        "job:kronos_latency_budget_left:ratio",
    }


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
def test_it_can_be_added_to_another_mixin(order):
    summed = json.loads(_jsonnet.evaluate_snippet(str(mixin_path() / "sum"), SUM % order))
    assert {"other", "kronos-request-alerts:kronos-api"} <= set(summed["alerts"])
    assert summed["dashboards"] == [*sorted(DEFAULT.dashboards), "other.json"]


def test_both_jsonnet_engines_give_the_same_result():
    made = {choice: render(evaluate(mixin_path(), choice=choice)) for choice in (Choice.CPP, Choice.GO)}
    assert made[Choice.CPP] == made[Choice.GO] == render(DEFAULT)


def test_rules_have_no_fields_that_old_servers_refuse():
    """Prometheus 2.42 and vmalert know only these."""
    for group in [*DEFAULT.rules, *DEFAULT.alerts]:
        assert group.keys() <= {"name", "interval", "limit", "rules"}
        for rule in group["rules"]:
            assert rule.keys() <= {"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}


def test_versions_differ():
    """Tests over `tools` would mean little if all were of one version."""
    releases = [tools.release[:2] for tools in binaries.every()]
    assert len(set(releases)) == len(releases)
