"""Relabelling of alerts is read as Prometheus does it."""

from __future__ import annotations

from contextlib import closing

import pytest

from kronos_mixin.verify.alertmanager import destinations
from kronos_mixin.verify.api import Api
from kronos_mixin.verify.relabel import relabelled
from kronos_mixin.verify.sent import ways
from proof.servers import victoriametrics
from proof.servers.process import Process, free_port

LABELS = {"alertname": "A", "severity": "critical", "replica": "b"}


@pytest.mark.parametrize(
    ("rule", "labels", "dropped"),
    [
        ({"action": "drop", "source_labels": ["severity"], "regex": "crit"}, LABELS, None),
        ({"action": "drop", "source_labels": ["severity"], "regex": "crit.*"}, LABELS, 0),
        ({"action": "keep", "source_labels": ["alertname", "severity"], "regex": "Acritical"}, LABELS, None),
        ({"action": "keep", "source_labels": ["severity"], "regex": "warning"}, LABELS, 0),
        ({"action": "keep", "source_labels": ["none"], "regex": ".+"}, LABELS, 0),
        ({"action": "labeldrop", "regex": "replica"}, {"alertname": "A", "severity": "critical"}, None),
        ({"action": "labelkeep", "regex": "alertname"}, {"alertname": "A"}, None),
        ({"target_label": "env", "replacement": "prod"}, LABELS | {"env": "prod"}, None),
        (
            {
                "source_labels": ["severity"],
                "regex": "(c)(?P<rest>.*)",
                "target_label": "s",
                "replacement": "$2-${1}",
            },
            LABELS | {"s": "ritical-c"},
            None,
        ),
        ({"source_labels": ["severity"], "regex": "x", "target_label": "severity", "replacement": "y"}, LABELS, None),
        (
            {"action": "lowercase", "source_labels": ["alertname"], "target_label": "alertname"},
            LABELS | {"alertname": "a"},
            None,
        ),
        ({"action": "labelmap", "regex": "rep(.*)", "replacement": "my_$1"}, LABELS | {"my_lica": "b"}, None),
        ({"target_label": "replica", "replacement": ""}, {"alertname": "A", "severity": "critical"}, None),
        ({"target_label": "replica"}, {"alertname": "A", "severity": "critical"}, None),
    ],
)
def test_one_rule(rule, labels, dropped):
    assert relabelled(LABELS, [rule]) == (labels, dropped)


def test_rules_follow_one_another():
    rules = [{"target_label": "a", "replacement": "1"}, {"action": "drop", "source_labels": ["a"], "regex": "1"}]
    assert relabelled(LABELS, rules)[1] == 1


def test_what_can_not_be_read():
    with pytest.raises(ValueError, match="can't read the regular expression"):
        relabelled(LABELS, [{"action": "drop", "source_labels": ["severity"], "regex": "("}])


@pytest.mark.parametrize("installed", victoriametrics.every(), ids=lambda installed: installed.version)
def test_labels_of_vmalert(installed, tmp_path):
    """It has no configuration to ask for, but shows its command line."""
    (tmp_path / "rules.yml").write_text("groups: [{name: a, rules: [{alert: A, expr: vector(1)}]}]")
    url = f"127.0.0.1:{free_port()}"
    labels = ["-external.label=cluster=eu", "-external.label=zone=b"]
    nowhere = ["-datasource.url=http://127.0.0.1:9", "-notifier.url=http://127.0.0.1:9"]
    argv = [installed.vmalert, f"-rule={tmp_path / 'rules.yml'}", f"-httpListenAddr={url}", *labels, *nowhere]
    with Process(argv, log=tmp_path / "log", name="vmalert") as running:
        running.wait_http(f"http://{url}/health")
        with closing(Api(f"http://{url}")) as api:
            (way,) = ways(api)
            known = destinations(api)
    assert way.sent({"alertname": "A", "cluster": "us"}) == {"alertname": "A", "cluster": "us", "zone": "b"}
    assert [one.url for one in known.active] == ["http://127.0.0.1:9"]
