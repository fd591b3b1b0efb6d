"""Objectives as OpenSLO. Its project publishes no schema for programs any more: the fields are those of its text."""

from __future__ import annotations

import re

import pytest

from kronos_mixin.contract import mixin_path
from kronos_mixin.formats import openslo
from kronos_mixin.jsonnet import evaluate

MIXIN = evaluate(mixin_path(), {"kronos": {"objectives": {"availability": {"target": "0.99"}, "window": "7d"}}})
FILES = openslo.convert(MIXIN.objectives, MIXIN.name).files
SLOS = [data for data in FILES.values() if data["kind"] == "SLO"]

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FIELDS = {
    "Service": {"description"},
    "SLO": {"description", "service", "indicator", "timeWindow", "budgetingMethod", "objectives"},
}


def test_the_fields_are_those_of_the_specification():
    assert [data["kind"] for data in FILES.values()] == ["Service", "SLO", "SLO"]
    for data in FILES.values():
        assert set(data) == {"apiVersion", "kind", "metadata", "spec"}
        assert data["apiVersion"] == "openslo/v1"
        assert NAME.fullmatch(data["metadata"]["name"])
        assert set(data["spec"]) == FIELDS[data["kind"]]
        assert len(data["spec"]["description"]) <= 1050
    for slo in SLOS:
        spec = slo["spec"]
        assert spec["service"] == FILES["kronos.service.yml"]["metadata"]["name"]
        assert set(spec["indicator"]["spec"]["ratioMetric"]) == {"counter", "bad", "total"}
        assert spec["budgetingMethod"] == "Occurrences"
        assert [(window["duration"], window["isRolling"]) for window in spec["timeWindow"]] == [("7d", True)]


@pytest.mark.parametrize("slo", SLOS, ids=lambda slo: slo["metadata"]["name"])
def test_the_budget_is_that_of_the_recording_rules(slo):
    """The rule that records what is left of the budget divides the same rates, and by the same objective."""
    rules = {rule["record"]: rule["expr"] for group in MIXIN.rules for rule in group["rules"]}
    what = slo["metadata"]["name"].removeprefix("kronos-")
    ratio = slo["spec"]["indicator"]["spec"]["ratioMetric"]
    for part in ("bad", "total"):
        source = ratio[part]["metricSource"]
        assert source["type"] == "Prometheus"
        (series,) = re.fullmatch(r"sum\((.*)\)", source["spec"]["query"]).groups()
        assert series in rules[f"job:kronos_{what}_budget_left:ratio"]
        assert series.split("{")[0] in rules
    ((objective,),) = [slo["spec"]["objectives"]]
    assert rules[f"job:kronos_{what}_objective:ratio"].endswith(f" + {objective['target']}")


def test_without_objectives_there_is_nothing():
    assert openslo.convert([], "node").files == {}
