"""Relabelling of alerts is read as Prometheus does it."""

from __future__ import annotations

import pytest

from kronos_mixin.verify.relabel import relabelled

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
