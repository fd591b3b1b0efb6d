"""Dashboards as version 2, held against the types that Grafana publishes, and against the classic ones."""

from __future__ import annotations

import pytest
from grafana_foundation_sdk.cog.runtime import Runtime
from grafana_foundation_sdk.models import dashboardv2 as published
from grafana_foundation_sdk.models import resource

from kronos_mixin.contract import mixin_path
from kronos_mixin.formats.grafana_v2 import dashboard
from kronos_mixin.jsonnet import evaluate
from tests.tool.models import dropped

OURS = evaluate(mixin_path()).dashboards
FOREIGN = {
    "old.json": {
        "title": "Old",
        "schemaVersion": 22,
        "graphTooltip": 1,
        "timepicker": {"refresh_intervals": ["1m"], "hidden": True},
        "time": {"from": "now-1h", "to": "now"},
        "__inputs": [{"name": "DS"}],
        "links": [{"title": "all", "type": "dashboards", "tags": ["a"]}],
        "annotations": {"list": [{"builtIn": 1, "datasource": "-- Grafana --", "name": "a", "type": "dashboard"}]},
        "templating": {
            "list": [
                {
                    "name": "q",
                    "type": "query",
                    "query": "label_values(up, job)",
                    "datasource": "$ds",
                    "sort": 1,
                    "hide": 2,
                },
                {
                    "name": "c",
                    "type": "custom",
                    "query": "a,b",
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "a", "value": "a"},
                },
                {
                    "name": "i",
                    "type": "interval",
                    "query": "1m,5m",
                    "auto": True,
                    "auto_count": 30,
                    "auto_min": "10s",
                },
                {"name": "t", "type": "textbox", "query": "x"},
                {"name": "k", "type": "constant", "query": "x"},
                {"name": "f", "type": "adhoc", "datasource": {"type": "loki", "uid": "l"}},
                {"name": "g", "type": "groupby"},
                {"datasource": {"type": "prometheus", "uid": "$ds"}, "refresh": 2},
            ]
        },
        "panels": [
            {"id": 1, "type": "text", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 2}},
            {"id": 2, "type": "row", "title": "Row", "gridPos": {"x": 0, "y": 2, "w": 24, "h": 1}, "repeat": "c"},
            {
                "id": 3,
                "type": "timeseries",
                "title": "B",
                "gridPos": {"x": 12, "y": 3, "w": 12, "h": 7},
                "repeat": "q",
                "repeatDirection": "h",
                "maxPerRow": 4,
                "interval": "1m",
                "datasource": "$ds",
                "targets": [
                    {"refId": "A", "expr": "up", "hide": True, "datasource": {"type": "loki", "uid": "l"}},
                    {"expr": "1"},
                ],
                "transformations": [{"id": "reduce", "options": {"reducers": ["last"]}, "disabled": True}],
                "alert": {"name": "legacy"},
            },
            {
                "id": 3,
                "type": "row",
                "collapsed": True,
                "title": "Closed",
                "gridPos": {"x": 0, "y": 10, "w": 24, "h": 1},
                "panels": [
                    {"id": 9, "type": "graph", "title": "G", "gridPos": {"x": 0, "y": 11, "w": 6, "h": 5}},
                    {"id": 9, "type": "stat", "title": "S", "libraryPanel": {"uid": "u", "name": "n"}},
                ],
            },
        ],
    }
}


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch):
    """Queries are the data sources' own. Once the SDK has been told to read them, it drops what it does not know."""
    monkeypatch.setattr(Runtime(), "dataquery_variants", {})


def panels(classic):
    for panel in classic["panels"]:
        yield from panel.get("panels", []) if panel["type"] == "row" else [panel]


@pytest.mark.parametrize("dashboards", [OURS, FOREIGN], ids=["ours", "foreign"])
def test_they_are_made_of_published_types(dashboards):
    for data in dashboard.convert(dashboards).files.values():
        assert dropped(data, resource.Manifest) == []
        assert dropped(data["spec"], published.Dashboard) == []


def test_a_field_that_is_not_published_is_found():
    ((_, data),) = dashboard.convert(FOREIGN).files.items()
    data["spec"]["elements"]["panel-3"]["spec"]["colour"] = "red"
    assert dropped(data["spec"], published.Dashboard) == [".elements.panel-3.spec.colour: 'red' became None"]


@pytest.mark.parametrize(("file", "classic"), OURS.items(), ids=OURS.keys())
def test_nothing_of_ours_is_lost(file, classic):
    converted = dashboard.convert({file: classic})
    assert converted.lost == []
    data = converted.files[file]
    spec = data["spec"]
    assert data["metadata"]["name"] == classic["uid"]
    assert (spec["title"], spec["tags"], spec["description"]) == (
        classic["title"],
        classic["tags"],
        classic["description"],
    )
    assert (spec["timeSettings"]["from"], spec["timeSettings"]["autoRefresh"]) == (
        classic["time"]["from"],
        classic["refresh"],
    )
    assert spec["links"] == classic["links"]
    items = [item["spec"] for item in spec["layout"]["spec"]["items"]]
    shown = classic["panels"]
    assert len(items) == len(shown) == len(spec["elements"])
    places = {item["element"]["name"]: (item["x"], item["y"], item["width"], item["height"]) for item in items}
    for panel in shown:
        name = f"panel-{panel['id']}"
        new = spec["elements"][name]["spec"]
        assert places[name] == tuple(panel["gridPos"][key] for key in "xywh")
        assert (new["title"], new.get("description", ""), new["links"]) == (
            panel["title"],
            panel["description"],
            panel["links"],
        )
        viz = new["vizConfig"]
        assert viz["group"] == panel["type"]
        # Units, thresholds, mappings, overrides and all.
        assert viz["spec"] == {"options": panel["options"], "fieldConfig": panel["fieldConfig"]}
        assert new["data"]["spec"]["queryOptions"] == {key: panel[key] for key in ("interval",) if key in panel}
        queries = [
            {
                "refId": query["spec"]["refId"],
                "datasource": {
                    "type": query["spec"]["query"]["group"],
                    "uid": query["spec"]["query"]["datasource"]["name"],
                },
                **query["spec"]["query"]["spec"],
            }
            for query in new["data"]["spec"]["queries"]
        ]
        assert queries == panel["targets"]
        transformations = [{"id": one["group"], **one["spec"]} for one in new["data"]["spec"]["transformations"]]
        assert transformations == panel["transformations"]
    variables = {variable["spec"]["name"]: variable for variable in spec["variables"]}
    assert list(variables) == [entry["name"] for entry in classic["templating"]["list"]]
    for entry in classic["templating"]["list"]:
        new = variables[entry["name"]]["spec"]
        if entry["type"] == "query":
            assert new["query"]["spec"] == entry["query"]
        else:
            assert new["pluginId"] == entry["query"]
        same_fields = ("label", "multi", "includeAll", "regex", "skipUrlSync")
        assert [new[key] for key in same_fields] == [entry[key] for key in same_fields]
    for new, entry in zip(spec["annotations"], classic["annotations"]["list"], strict=True):
        assert new["spec"]["legacyOptions"]["expr"] == entry["expr"]
        assert new["spec"]["query"]["datasource"]["name"] == entry["datasource"]["uid"]


def test_rows_repeats_and_old_forms():
    ((_, data),) = dashboard.convert(FOREIGN).files.items()
    spec = data["spec"]
    rows = [row["spec"] for row in spec["layout"]["spec"]["rows"]]
    assert [(row["title"], row.get("collapse"), row.get("hideHeader")) for row in rows] == [
        ("", None, True),
        ("Row", False, None),
        ("Closed", True, None),
    ]
    assert rows[1]["repeat"] == {"mode": "variable", "value": "c"}
    ((item,),) = [row["layout"]["spec"]["items"] for row in rows[1:2]]
    assert item["spec"] == {
        "x": 12,
        "y": 0,
        "width": 12,
        "height": 7,
        "element": {"kind": "ElementReference", "name": "panel-3"},
        "repeat": {"mode": "variable", "value": "q", "direction": "h", "maxPerRow": 4},
    }
    first, second = (query["spec"] for query in spec["elements"]["panel-3"]["spec"]["data"]["spec"]["queries"])
    assert (first["hidden"], first["query"]["group"], first["query"]["datasource"]) == (True, "loki", {"name": "l"})
    assert (second["query"]["datasource"], second["query"]["spec"]) == ({"name": "$ds"}, {"expr": "1"})
    kinds = {variable["spec"]["name"]: variable["kind"] for variable in spec["variables"]}
    assert kinds == {
        "q": "QueryVariable",
        "c": "CustomVariable",
        "i": "IntervalVariable",
        "t": "TextVariable",
        "k": "ConstantVariable",
        "f": "AdhocVariable",
    }
    assert spec["variables"][0]["spec"]["query"]["spec"] == {"__legacyStringValue": "label_values(up, job)"}
    assert len(spec["elements"]) == len(list(panels(FOREIGN["old.json"])))
    assert (spec["cursorSync"], spec["timeSettings"]["hideTimepicker"]) == ("Crosshair", True)


def test_what_is_lost_is_told():
    assert dashboard.convert(FOREIGN).lost == [
        "old.json: the dashboard has __inputs, which version 2 does not know",
        "old.json: panel B has alert, which version 2 does not know",
        "old.json: panels of type graph stay empty: Grafana replaces them in classic dashboards only",
        "old.json: variable g is of type groupby, which is not converted",
        "old.json: a variable has no name, and nothing can read it",
    ]
