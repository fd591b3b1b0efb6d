"""The objects for Kubernetes, held against the operator's own types and Kubernetes's schemas."""

from __future__ import annotations

import json
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule

from kronos_mixin.compile import render
from kronos_mixin.contract import mixin_path
from kronos_mixin.formats.converted import Place
from kronos_mixin.formats.kubernetes import object_name
from kronos_mixin.jsonnet import CompileError, Mixin, evaluate
from proof.servers import promtool
from tests.tool.models import unknown

MIXIN = evaluate(mixin_path())
LABELS = {"release": "prometheus"}
FILES = render(MIXIN, ["kubernetes"], Place(LABELS, "monitoring"))
# Those that run the service lie below.
OBJECTS = {name: yaml.safe_load(text) for name, text in FILES.items() if name.count("/") == 1}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [data for data in OBJECTS.values() if data["kind"] == kind]


def test_the_walk_finds_unknown_keys():
    rule = {"alert": "A", "expr": "up", "froo": "5m"}
    data = {
        "apiVersion": "v1",
        "kind": "PrometheusRule",
        "spec": {"groups": [{"name": "a", "rules": [rule]}], "x": 1},
    }
    assert sorted(unknown(data, PrometheusRule)) == [".spec.groups[0].rules[0].froo", ".spec.x"]


def test_prometheus_rules():
    rules = of_kind("PrometheusRule")
    assert [rule["metadata"]["name"] for rule in rules] == ["kronos-rules", "kronos-alerts"]
    for data in rules:
        PrometheusRule.model_validate(data)
        assert unknown(data, PrometheusRule) == []
        assert data["apiVersion"] == "monitoring.coreos.com/v1"
        assert data["metadata"]["namespace"] == "monitoring"
        assert data["metadata"]["labels"]["release"] == "prometheus"
    plain = render(MIXIN)
    assert rules[1]["spec"]["groups"] == yaml.safe_load(plain["prometheus/kronos-alerts.yml"])["groups"]


def test_what_the_operator_gives_to_prometheus_loads(tools, tmp_path):
    for data in of_kind("PrometheusRule"):
        path = tmp_path / "rules.yml"
        path.write_text(yaml.safe_dump(data["spec"]))
        promtool.check_rules(tools, path)


def test_dashboards_as_config_maps():
    maps = of_kind("ConfigMap")
    assert {next(iter(data["data"])) for data in maps} == set(MIXIN.dashboards)
    for data in maps:
        kubernetes_validate.validate(data, "1.30", strict=True)
        ((file, text),) = data["data"].items()
        assert json.loads(text) == MIXIN.dashboards[file]
        assert data["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert data["metadata"]["annotations"] == {"grafana_folder": "Kronos"}


def test_names_that_kubernetes_takes():
    assert object_name("My_Board (2).json") == "my-board-2-.json"
    assert object_name("--a--") == "a"
    assert object_name("🔥") == "mixin"
    assert len({data["metadata"]["name"] for data in OBJECTS.values()}) == len(OBJECTS)


def test_a_dashboard_that_is_too_large():
    huge = Mixin({"huge.json": {"title": "x" * (1 << 20)}}, [], [], name="huge")
    render(huge)
    with pytest.raises(CompileError, match=r"huge.json has 10\d+ bytes, more than the 1 MiB"):
        render(huge, ["kubernetes"])


def test_rules_that_prometheus_takes_and_the_operator_does_not():
    group = {"name": "g", "x": 1, "rules": [{"alert": "A", "expr": 1, "for": "1m", "y": 2}]}
    (text,) = render(Mixin({}, [group], [], name="odd"), ["kubernetes"]).values()
    assert yaml.safe_load(text)["spec"]["groups"] == [
        {"name": "g", "rules": [{"alert": "A", "expr": "1", "for": "1m"}]}
    ]
