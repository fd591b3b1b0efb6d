"""Alerts that Grafana evaluates, held against its published types, and against the alerts of Prometheus."""

from __future__ import annotations

import re

import pytest
from grafana_foundation_sdk.models import alerting as published
from grafana_foundation_sdk.models import expr, prometheus

from kronos_mixin.contract import mixin_path
from kronos_mixin.formats import alerting
from kronos_mixin.formats.converted import Place
from kronos_mixin.jsonnet import evaluate
from tests.tool.models import dropped

MIXIN = evaluate(mixin_path())
EXTERNAL = re.compile(r"\$externalLabels\.\w+(?=[^{}]*\}\})")
"""What only a Prometheus knows that sends alerts itself."""

FOREIGN = [
    {
        "name": "g",
        "interval": "15s",
        "limit": 3,
        "labels": {"team": "a", "severity": "info"},
        "rules": [
            {"record": "a:b", "expr": "1"},
            {
                "alert": "A",
                "expr": "up == 0",
                "keep_firing_for": "5m",
                "labels": {"severity": "{{ $labels.x }}"},
                "annotations": {
                    "good": "{{ $value | humanize }} of {{ $labels.first }} {{ with $labels.a }}{{ . }}{{ end }}",
                    "external": "{{ with or $labels.a $externalLabels.a }}{{ . }}{{ end }} $externalLabels.a",
                    "bad": '{{ with query "up" }}{{ . | first | value }}{{ end }}{{ $externalLabels }}{{ .Value }}',
                },
            },
        ],
    },
    {"name": "records", "rules": [{"record": "c:d", "expr": "1"}]},
]


SPELLING = {"keepFiringFor": "keep_firing_for", "missing_series_evals_to_resolve": "missingSeriesEvalsToResolve"}
"""Of fields that files and the API do not spell alike."""


def rules(converted):
    return [(group, rule) for file in converted.files.values() for group in file["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("groups", "place"), [(MIXIN.alerts, Place(data_source="prom")), (FOREIGN, Place())])
def test_the_alerts_are_those_of_prometheus(groups, place):
    pairs = zip(
        rules(alerting.convert(groups, "m", "Folder", place)),
        [(group, rule) for group in groups for rule in group["rules"] if "alert" in rule],
        strict=True,
    )
    for (group, rule), (theirs, alert) in pairs:
        assert (group["name"], rule["title"], group["folder"]) == (theirs["name"], alert["alert"], "Folder")
        assert rule["data"][0]["model"]["expr"] == alert["expr"]
        assert rule["data"][0]["datasourceUid"] == place.data_source
        assert (rule.get("for"), rule.get("keepFiringFor")) == (alert.get("for"), alert.get("keep_firing_for"))
        labels = {key: text.replace("$$", "$") for key, text in rule["labels"].items()}
        assert labels == {**theirs.get("labels", {}), **alert.get("labels", {})}
        prefix = "{{ $value := $values.A.Value }}"
        empty = {key: EXTERNAL.sub('""', text) for key, text in alert["annotations"].items()}
        assert {k: v.removeprefix(prefix) for k, v in rule["annotations"].items()} == empty
        for text in rule["annotations"].values():
            assert text.startswith(prefix) == ("$value" in text.removeprefix(prefix))
            assert "${" not in text  # Which Grafana would fill in from its environment.


def test_no_two_rules_have_one_uid_and_it_stays():
    uids = [rule["uid"] for _, rule in rules(alerting.convert(MIXIN.alerts, "kronos", "", Place()))]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40
    again = [rule["uid"] for _, rule in rules(alerting.convert(MIXIN.alerts[1:], "kronos", "", Place()))]
    assert again == uids[-len(again) :]


def test_the_file_is_made_of_published_types():
    for group, rule in rules(alerting.convert(MIXIN.alerts, "kronos", "Kronos", Place())):
        # In files the folder goes by its title.
        assert set(group) == {"orgId", "name", "folder", "interval", "rules"}
        of_group = {"orgID": group["orgId"], "folderUID": group["folder"], "ruleGroup": group["name"], "for": ""}
        renamed = {SPELLING.get(key, key): value for key, value in rule.items()}
        assert dropped(of_group | renamed, published.Rule) == []
        query, some, above = (node["model"] for node in rule["data"])
        assert dropped(query, prometheus.Dataquery) == []
        assert dropped(some, expr.TypeMath) == []
        assert dropped(above, expr.TypeThreshold) == []
        assert rule["condition"] == rule["data"][-1]["refId"]


def test_what_grafana_cannot_do_is_told():
    converted = alerting.convert(FOREIGN, "m", "", Place())
    assert converted.files["m-alerts.yml"]["groups"][0]["interval"] == "20s"
    lacks = "which Grafana's templates do not have"
    assert converted.lost == [
        "group g: interval 15s becomes 20s: Grafana takes multiples of 10s",
        "group g: limit has no counterpart in Grafana",
        "group g: its recording rules stay in Prometheus, which may evaluate them later",
        *(f"A: bad uses {word}, {lacks}" for word in ("$externalLabels", ".Value", "first", "query", "value")),
        "external labels in annotations stay empty: Grafana has none",
    ]
    external = "external labels in annotations stay empty: Grafana has none"
    assert alerting.convert(MIXIN.alerts, "kronos", "", Place()).lost == [external]
    assert alerting.convert([], "kronos", "", Place()).files == {}
