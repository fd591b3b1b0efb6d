"""What relabelling and inhibitions do, as this program works it out, and as Prometheus and Alertmanager do it."""

from __future__ import annotations

import itertools
import time
from contextlib import closing

import pytest
import yaml

from kronos_mixin.connect import Connection
from kronos_mixin.verify.alertmanager import Alertmanager as Client
from kronos_mixin.verify.inhibition import inhibitions
from kronos_mixin.verify.routing import texts
from kronos_mixin.verify.sent import ways
from proof.servers import alertmanager, binaries
from proof.servers.alertmanager import Alertmanager
from proof.servers.prometheus import Prometheus

NOWHERE = {"route": {"receiver": "nobody", "group_wait": "0s"}, "receivers": [{"name": "nobody"}]}

RELABELLINGS = [
    {"source_labels": ["a", "b"], "target_label": "joined"},
    {
        "source_labels": ["a", "missing"],
        "separator": "-",
        "regex": "(.*)-(.*)",
        "target_label": "r",
        "replacement": "$2$1",
    },
    {"source_labels": ["a"], "regex": "o(?P<rest>.+)", "target_label": "n", "replacement": "${rest}x$$$9"},
    {"source_labels": ["a"], "regex": "nothing", "target_label": "never", "replacement": "x"},
    {"source_labels": ["a"], "regex": "(.)ne", "target_label": "of_$1", "replacement": "one"},
    {"target_label": "fixed", "replacement": "always"},
    {"target_label": "b", "replacement": ""},
    {"source_labels": ["upper"], "target_label": "lower", "action": "lowercase"},
    {"source_labels": ["a"], "target_label": "A", "action": "uppercase"},
    {"source_labels": ["a", "upper"], "modulus": 1000, "target_label": "shard", "action": "hashmod"},
    {"regex": "pre_(.+)", "action": "labelmap"},
    {"regex": "pre_(.+)", "replacement": "map_${1}", "action": "labelmap"},
    {"regex": "pre_.*|fixed", "action": "labeldrop"},
    {"regex": "never|of_.*|a|upper|zone|lower|A|shard|joined|glued|r|n|map_.*|alertname", "action": "labelkeep"},
    {"source_labels": ["zone"], "regex": "dropped", "action": "drop"},
    {"source_labels": ["zone"], "regex": "kept|same|other", "action": "keep"},
    {"source_labels": ["zone"], "target_label": "map_key", "action": "dropequal"},
]
ALERTS = [
    {"alertname": f"Alert{place}", "a": "one", "b": "two", "upper": "UPPER", "pre_key": "same", "zone": zone}
    for place, zone in enumerate(["kept", "dropped", "unknown", "same", "other"])
]
EXTERNAL = {"zone": "external", "region": "eu", "pre_key": "lost"}


def test_relabelling_is_that_of_prometheus(tmp_path):
    rules = [
        {"alert": one["alertname"], "expr": "vector(1)", "labels": {k: v for k, v in one.items() if k != "alertname"}}
        for one in ALERTS
    ]
    groups = [{"name": "always", "interval": "1s", "rules": rules}]
    (tmp_path / "always.yml").write_text(yaml.safe_dump({"groups": groups}))
    with Alertmanager(alertmanager.every()[-1], NOWHERE) as manager:
        target = {"static_configs": [{"targets": [manager.url.removeprefix("http://")]}]}
        alerting = {"alertmanagers": [target], "alert_relabel_configs": RELABELLINGS}
        config = {"global": {"external_labels": EXTERNAL}, "alerting": alerting}
        config |= {"rule_files": [str(tmp_path / "always.yml")]}
        with Prometheus(binaries.newest(), config, flags=["--rules.alert.resend-delay=1s"]) as prometheus:
            deadline = time.monotonic() + 60
            found: list[dict[str, str]] = []
            # They arrive one by one, in the order of the rules.
            while not any(one["alertname"] == ALERTS[-1]["alertname"] for one in found):
                assert time.monotonic() < deadline
                time.sleep(0.1)
                found = [one["labels"] for one in manager.alerts()]
            (way,) = ways(prometheus)
    wanted = [sent for one in ALERTS if (sent := way.sent(one)) is not None]
    assert [one["alertname"] for one in wanted] == ["Alert0", "Alert4"]
    assert sorted(found, key=lambda one: one["alertname"]) == wanted


INHIBITIONS = [
    {"source_match": {"alertname": "Down"}, "target_match_re": {"alertname": "Slow|Ill"}, "equal": ["job", "zone"]},
    {"source_matchers": ["severity=critical"], "target_matchers": ["severity=~warning|info"], "equal": ["job"]},
    {"source_matchers": ['alertname=~"Ill|Slow"'], "target_matchers": ['alertname=~"Ill|Slow"'], "equal": ["job"]},
    {"source_matchers": ["kind=a", "zone=eu"], "target_matchers": ["kind!=a"], "equal": ["job", "zone"]},
]
FIRING = [
    {"alertname": name, "job": job, **more}
    for job, (name, more) in itertools.product(
        ("one", "two"),
        [
            ("Down", {"severity": "critical", "zone": "eu", "kind": "a"}),
            ("Slow", {"severity": "warning", "zone": "eu"}),
            ("Slow", {"severity": "warning", "zone": "us", "kind": "b"}),
            ("Ill", {"severity": "critical"}),
            ("Ill", {"severity": "info", "kind": "a", "zone": "us"}),
        ],
    )
    if not (job == "two" and name == "Down")
]


@pytest.mark.parametrize("installed", alertmanager.every(), ids=lambda installed: installed.version)
def test_inhibitions_are_those_of_alertmanager(installed):
    with Alertmanager(installed, {**NOWHERE, "inhibit_rules": INHIBITIONS}) as manager:
        manager.fire(FIRING)
        deadline = time.monotonic() + 60
        # Each is looked at once its group is told.
        while any(one["status"]["state"] == "unprocessed" for one in manager.alerts()) or not manager.alerts():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        found = {frozenset(one["labels"].items()): one["status"]["state"] for one in manager.alerts()}
        with closing(Client(Connection(manager.url))) as client:
            rules = inhibitions(client.routing.config)
    assert rules == inhibitions(texts({"inhibit_rules": INHIBITIONS}))
    muted = {
        frozenset(one.items()): any(rule.mutes(other, one) for rule in rules for other in FIRING) for one in FIRING
    }
    assert {labels for labels, state in found.items() if state == "suppressed"} == {
        labels for labels, is_muted in muted.items() if is_muted
    }
    assert 0 < sum(muted.values()) < len(FIRING)
