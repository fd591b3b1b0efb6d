"""The Alertmanager example in a running Alertmanager: which receiver gets which alert, and which alerts are muted."""

from __future__ import annotations

import json

import _jsonnet
import pytest
import yaml

from kronos_mixin.compile import render
from kronos_mixin.config import overlays
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import alertmanager
from proof.servers.alertmanager import Alertmanager, Receivers, hurried

MIXIN = evaluate(mixin_path())
CONFIG = yaml.safe_load(render(MIXIN)["alertmanager/alertmanager-example.yml"])
TOOLS = alertmanager.every()

SEVERITIES = {rule["alert"]: rule["labels"]["severity"] for group in MIXIN.alerts for rule in group["rules"]}
PAGE, TICKET = "critical", "warning"
SINGLE, BATCH = "/v1/predict/single", "/v1/predict/batch"

GONE = ["KronosServiceDown", "KronosModelNotReady", "KronosTargetMissing"]
RATIOS = [
    ("KronosHighErrorRate", {"route": SINGLE}),
    ("KronosHighLatency", {"route": SINGLE}),
    ("KronosHighTimeoutRate", {"route": BATCH}),
    ("KronosSlowInference", {"route": BATCH}),
    ("KronosNothingSucceeds", {"route": BATCH}),
    ("KronosErrorBudgetBurn", {"long": "1h", "severity": PAGE}),
    ("KronosErrorBudgetBurn", {"long": "3d", "severity": TICKET}),
    ("KronosLatencyBudgetBurn", {"long": "1h"}),
]

# Source and target, each with its labels in addition to those of the installation.
MUTED = [
    *((source, {}, target, labels) for source in GONE for target, labels in RATIOS),
    *(
        (name, {"long": fast, "severity": severity}, name, {"long": slow})
        for name, severity in (("KronosErrorBudgetBurn", PAGE), ("KronosLatencyBudgetBurn", TICKET))
        for fast, slow in (("1h", "6h"), ("1h", "3d"), ("6h", "1d"))
    ),
    ("KronosErrorBudgetBurn", {"long": "1d", "severity": TICKET}, "KronosErrorBudgetBurn", {"long": "3d"}),
    ("KronosHighTimeoutRate", {"route": SINGLE}, "KronosHighLatency", {"route": SINGLE}),
    ("KronosSlowInference", {"route": SINGLE}, "KronosHighLatency", {"route": SINGLE}),
    ("KronosRestartingEverywhere", {}, "KronosRestarting", {"instance": "a:80"}),
]

# Differ from muted cases in one thing.
HEARD = [
    *((source, {"cluster": "other"}, target, labels) for source in GONE for target, labels in RATIOS[:2]),
    *((source, {}, "KronosHighMemoryUsage", {"instance": "a:80"}) for source in GONE),
    # An installation of which nothing is known but its job.
    ("KronosTargetMissing", {"cluster": "", "namespace": ""}, "KronosHighErrorRate", {"route": SINGLE}),
    ("KronosErrorBudgetBurn", {"long": "1d", "severity": TICKET}, "KronosErrorBudgetBurn", {"long": "6h"}),
    ("KronosErrorBudgetBurn", {"long": "1h"}, "KronosLatencyBudgetBurn", {"long": "6h"}),
    ("KronosLatencyBudgetBurn", {"long": "1h", "cluster": "other"}, "KronosLatencyBudgetBurn", {"long": "6h"}),
    # The burn may come from the other route.
    ("KronosErrorBudgetBurn", {"long": "1h"}, "KronosHighErrorRate", {"route": SINGLE}),
    ("KronosLatencyBudgetBurn", {"long": "1h"}, "KronosHighLatency", {"route": SINGLE}),
    ("KronosHighTimeoutRate", {"route": BATCH}, "KronosHighLatency", {"route": SINGLE}),
    ("KronosHighLatency", {"route": SINGLE}, "KronosHighTimeoutRate", {"route": SINGLE}),
    ("KronosTargetDown", {"instance": "a:80"}, "KronosHighErrorRate", {"route": SINGLE}),
]


def alert(name: str, place: dict[str, str], labels: dict[str, str]) -> dict[str, str]:
    severity = SEVERITIES.get(name, "none")
    given = {"alertname": name, "severity": severity, "cluster": "a", "namespace": "b", **place, **labels}
    return {label: value for label, value in given.items() if value}  # Alertmanager drops empty ones.


def cases(table):
    """Source and target of each case, each in an installation of its own, so that cases do not mix."""
    for number, (source, source_labels, target, target_labels) in enumerate(table):
        place = {"job": f"kronos-{number}"}
        yield alert(source, place, source_labels), alert(target, place, target_labels)


@pytest.fixture
def receivers():
    with Receivers() as receivers:
        yield receivers


@pytest.fixture(params=TOOLS, ids=lambda tools: tools.version)
def running(request, receivers):
    with Alertmanager(request.param, hurried(CONFIG, receivers.url)) as running:
        yield running


@pytest.mark.parametrize("installed", TOOLS, ids=lambda installed: installed.version)
def test_amtool(installed, tmp_path):
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(CONFIG))
    assert f"{len(CONFIG['inhibit_rules'])} inhibit rules" in alertmanager.check_config(installed, path)
    path.write_text(yaml.safe_dump({**CONFIG, "receivers": CONFIG["receivers"][:1]}))
    with pytest.raises(alertmanager.ProcessError, match="undefined receiver"):
        alertmanager.check_config(installed, path)


def test_receivers(running, receivers):
    expected = {"critical": {"kronos-page"}, "warning": {"kronos-ticket"}, "info": {"kronos-info"}}
    alerts = [alert(name, {"job": name}, {}) for name in SEVERITIES]
    foreign = {"alertname": "DiskFull", "severity": "critical"}
    running.fire([*alerts, foreign])
    receivers.wait_for([*alerts, foreign])
    assert receivers.of(foreign) == {"elsewhere"}
    for one in alerts:
        assert receivers.of(one) == expected[one["severity"]]
    assert {one["severity"] for one in alerts} == expected.keys()


def test_how_soon_and_how_often_people_hear():
    (ours,) = CONFIG["route"]["routes"]
    waits = ("group_wait", "group_interval", "repeat_interval")
    found = {"info": [ours[wait] for wait in waits]}
    for route in ours["routes"]:
        (matcher,) = route["matchers"]
        found[matcher.partition('"')[2].strip('"')] = [route.get(wait, ours[wait]) for wait in waits]
    assert found == {
        "critical": ["10s", "5m", "1h"],
        "warning": ["30s", "5m", "12h"],
        "info": ["30s", "5m", "12h"],
    }


def test_inhibition(running, receivers):
    muted, heard = list(cases(MUTED)), list(cases([*MUTED, *HEARD]))[len(MUTED) :]

    sources = [source for source, _ in muted + heard]
    targets = [target for _, target in muted]
    running.fire(sources)
    receivers.wait_for(sources)
    # In the same group and for the same receiver as a target: once they arrive, the target would have arrived too.
    witnesses = [{**target, "alertname": "KronosWitness"} for target in targets]
    running.fire([*targets, *witnesses, *(target for _, target in heard)])
    receivers.wait_for([*witnesses, *(target for _, target in heard)])
    for source, target in muted:
        assert running.muted_by(target) == [source]
        assert receivers.of(target) == set(), f"{target} was sent while {source} fired"
    for _, target in heard:
        assert running.muted_by(target) == []

    # Without the sources, all targets are sent.
    running.resolve(sources)
    receivers.wait_for(targets)


def example(config):
    """The example with other knobs."""
    snippet = f"((import 'mixin.libsonnet') {overlays([{'kronos': config}])}).alertmanagerConfig"
    return json.loads(_jsonnet.evaluate_snippet(str(mixin_path() / "example"), snippet))


def test_disabled_alerts_are_left_out():
    def switched(**alerts):
        return example({"alerts": {name: {"enabled": on} for name, on in alerts.items()}})

    assert "KronosSlowInference" in str(switched())
    assert "KronosSlowInference" not in str(switched(KronosSlowInference=False))
    assert "KronosTrafficDropped" in str(switched(KronosTrafficDropped=True))
    none = switched(**dict.fromkeys(MIXIN.config["alerts"], False))
    assert none["inhibit_rules"] == []
    fewer = switched(KronosRestartingEverywhere=False)["inhibit_rules"]
    assert len(fewer) == len(CONFIG["inhibit_rules"]) - 1


def test_labels_of_users():
    targets = [{"job": "a", "zone": "x"}, {"job": "b"}]
    config = {"aggregationLabels": ["zone"], "selector": 'job=~"a|b|kronos-api"', "expectedTargets": targets}
    assert {tuple(rule["equal"]) for rule in example(config)["inhibit_rules"]} == {
        ("zone", "job"),
        ("zone", "job", "route"),
    }


def test_a_ticket_never_mutes_a_page():
    def burn(long, severity):
        return {"long": long, "short": "5m", "factor": "2", "for": "2m", "severity": severity}

    burns = [burn("6h", PAGE), burn("1h", TICKET), burn("2h", PAGE), burn("1d", TICKET)]
    rules = example({"objectives": {"burn": burns}})["inhibit_rules"]
    found = [
        (rule["source_matchers"][1], rule["target_matchers"][1])
        for rule in rules
        if rule["source_matchers"][0] == 'alertname=~"KronosErrorBudgetBurn"'
    ]
    assert found == [
        ('long="1h"', 'long=~"1d"'),
        ('long="2h"', 'long=~"6h|1d"'),
        ('long="6h"', 'long=~"1d"'),
    ]
