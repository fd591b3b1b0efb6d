"""The form of dashboards: faults in one panel, in a variable, and in a dashboard as a whole."""

from __future__ import annotations

import copy

import pytest

from kronos_mixin.check import dashboards
from tests.tool.check.parts import dashboard, panel, target, variable


def defaults(**values):
    return lambda panel: panel["fieldConfig"]["defaults"].update(values)


def override(matcher="byRegexp", **item):
    item = {"matcher": {"id": matcher, "options": "x"}, "properties": [item]}
    return lambda panel: panel["fieldConfig"]["overrides"].append(item)


def link(url):
    return lambda panel: panel["links"].append({"title": "There", "url": url})


def steps(*steps):
    return defaults(thresholds={"mode": "absolute", "steps": list(steps)})


GREEN = {"value": None, "color": "green"}


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (lambda panel: panel.update(title=" "), "has no title"),
        (lambda panel: panel.pop("description"), "has no description"),
        (lambda panel: panel["fieldConfig"]["defaults"].pop("unit"), "has no unit"),
        (defaults(unit="requests/s"), "'requests/s' is not among the units that @grafana/data"),
        (defaults(color={"mode": "palette"}), "'palette' is not among the colorModes"),
        (defaults(color={"mode": "fixed", "fixedColor": "grene"}), "'grene' is not among the colors"),
        (defaults(color={"mode": "fixed", "fixedColor": "#00ff0"}), "'#00ff0' is not among the colors"),
        (lambda panel: panel["options"]["legend"].update(calcs=["lastNotnull"]), "not among the reducers"),
        (lambda panel: panel.update(transformations=[{"id": "renameByRegexp"}]), "not among the transformers"),
        (override("byRegex", id="unit", value="s"), "'byRegex' is not among the matchers"),
        (override(id="units", value="s"), "'units' is not among the properties"),
        (override(value="s"), "'None' is not among the properties"),
        (override(id="unit", value="sec"), "'sec' is not among the units"),
        (steps(GREEN, {"value": 1}), "the threshold step at 1 has no color"),
        (steps(GREEN, {"value": 1, "color": "rde"}), "'rde' is not among the colors"),
        (steps(GREEN, {"value": 2, "color": "red"}, {"value": 1, "color": "blue"}), "must begin at null and rise"),
        (steps({"value": 2, "color": "red"}), "must begin at null and rise"),
        (target(refId="B", legendFormat=""), "query B has no legend"),
        (target(legendFormat="requests"), "lacks status"),
        (target(legendFormat="{{job}}"), "lacks status"),
        (target(datasource={"type": "prometheus", "uid": "mine"}), "query A uses another data source"),
        (lambda panel: panel["targets"].append(dict(panel["targets"][0])), "has two queries with the same refId"),
        (
            lambda panel: panel["targets"].append({**panel["targets"][0], "refId": "B"}),
            "lines of A and B would both be called 'cancelled {{cluster}}",
        ),
        (link("/d/kronos-nowhere?${job:queryparam}"), "leads to kronos-nowhere, which is not a dashboard"),
        (link("/d/kronos-slo?${route:queryparam}"), "passes the variable route, which kronos-slo does not have"),
        (link("/d/kronos-slo?${zone:queryparam}"), "uses the variable zone"),
        (
            defaults(links=[{"title": "Log", "url": "https://l/?i=${__field.labels.instance}"}]),
            "a link shows the label",
        ),
        (lambda panel: panel["gridPos"].update(x=20), "extends beyond the grid"),
        (lambda panel: panel["gridPos"].update(y=0), "overlaps"),
        (lambda panel: panel["gridPos"].update(w=4.8), "has a gridPos that is not in whole numbers"),
        (target(expr='sum by (job) (up{job=~"$jobs"})', legendFormat="{{job}}"), "uses the variable jobs"),
    ],
)
def test_a_fault_in_a_panel(mixin, findings, fault, finding):
    fault(panel(mixin, "Request rate"))
    found = findings(mixin)
    assert any(line.startswith("grafana/kronos-dashboard.json: ") and finding in line for line in found), found


def test_lines_that_share_a_name_by_a_value(mixin, findings):
    # `inference` is a type of error and a stage of timeouts.
    timeouts, errors = panel(mixin, "Timeout rate"), panel(mixin, "Error rate and types")
    legend = timeouts["targets"][0]["legendFormat"].replace("{{stage}}", "{{type}}")
    timeouts["targets"].append({**errors["targets"][0], "legendFormat": legend, "refId": "Z"})
    (finding,) = findings(mixin)
    assert finding.startswith("grafana/kronos-dashboard.json: panel 'Timeout rate")
    assert "lines of A and Z would both be called 'in inference {{cluster}}" in finding


def test_a_value_that_the_query_fixes_needs_no_legend(mixin, findings):
    one = panel(mixin, "Request rate")["targets"][0]
    one["expr"] = one["expr"].replace('status=~"$status"', 'status="success", status=~"$status"')
    one["legendFormat"] = "all {{cluster}} {{namespace}}"
    assert findings(mixin) == []


def test_two_panels_with_one_id(mixin, findings):
    panel(mixin, "Timeout rate")["id"] = panel(mixin, "Error rate")["id"] = 7
    assert findings(mixin) == ["grafana/kronos-dashboard.json: has two panels with the id 7"]


def test_a_variable_that_no_panel_uses(mixin, findings):
    variables = dashboard(mixin, "slo")["templating"]["list"]
    variables.append({**copy.deepcopy(variable(mixin, "route")), "name": "batch"})
    assert findings(mixin) == ["grafana/kronos-slo.json: has the variable batch, which no panel uses"]


@pytest.mark.parametrize(
    ("uid", "finding"),
    [("kronos-overview", "has the uid kronos-overview of another dashboard"), ("kronos slo", "'kronos slo'")],
)
def test_a_uid(mixin, findings, uid, finding):
    dashboard(mixin, "slo")["uid"] = uid
    assert any(line.startswith("grafana/kronos-slo.json: ") and finding in line for line in findings(mixin))


def test_the_vocabulary_is_complete():
    """Without this, a missing list would go unnoticed until its first use."""
    for kind in ("units", "reducers", "colorModes", "colors", "matchers", "properties", "transformers"):
        assert len(dashboards.vocabulary()[kind]) > 10
    assert dashboards.vocabulary()["source"].startswith("@grafana/data 13.")
