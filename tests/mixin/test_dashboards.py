"""Dashboards against Grafana's own types: it silently drops or misreads what does not fit."""

from __future__ import annotations

import copy
import json
import re
from urllib.parse import parse_qs, urlsplit

import _jsonnet
import pytest

from kronos_mixin import promql, series
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.panels import queries
from kronos_service.telemetry.fields import FIELDS
from proof import grafana_types

MIXIN = evaluate(mixin_path())
DASHBOARDS = MIXIN.dashboards
LOKI = {"enabled": True, "datasource": "team-loki", "selector": 'app="kronos", cluster=~"${cluster:pipe}"'}
WITH_LOGS = evaluate(mixin_path(), {"kronos": {"loki": LOKI}}).dashboards


@pytest.mark.parametrize("name", DASHBOARDS)
@pytest.mark.parametrize("dashboards", [DASHBOARDS, WITH_LOGS], ids=["plain", "with logs"])
def test_grafana_knows_every_key_and_type(dashboards, name):
    assert grafana_types.problems(dashboards[name]) == []


def explored(dashboards):
    """What the links to Explore open, by dashboard, panel and title."""
    return {
        (name, panel["title"], link["title"]): json.loads(parse_qs(urlsplit(link["url"]).query)["panes"][0])["logs"]
        for name, board in dashboards.items()
        for panel in board["panels"]
        for link in panel["links"]
        if link["url"].startswith("/explore?")
    }


def test_links_lead_to_log_lines_only_where_there_is_loki():
    assert explored(DASHBOARDS) == {}
    panes = explored(WITH_LOGS)
    assert {name for name, _, _ in panes} == {
        "kronos-dashboard.json",
        "kronos-inference.json",
        "kronos-instances.json",
    }
    for pane in panes.values():
        assert pane["datasource"] == pane["queries"][0]["datasource"]["uid"] == "team-loki"
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
        assert pane["queries"][0]["expr"].startswith('{app="kronos", cluster=~"${cluster:pipe}"} |')
    (request,) = (pane for place, pane in panes.items() if place[2] == "All log lines of the request")
    assert request["queries"][0]["expr"].endswith("|= `${request_id:percentencode}`")


LEADS_TO = {
    "Burn rates": ("slo", ()),
    "Where does the time go?": ("inference", ("route",)),
    "Which instance?": ("instances", ()),
    "Why is it slow?": ("inference", ("route",)),
}
ROUTE = "event = `request` | route =~ `${route:pipe}` | "
SLOW = (
    "(route = `/v1/predict/batch` and duration_ms > 30000) or (route = `/v1/predict/single` and duration_ms > 5000)"
)
LINES = {
    "All log lines of the request": "|= `${request_id:percentencode}`",
    "Log lines of cancelled requests": "| json | event = `request` | cancelled != ``",
    "Log lines of failed loads": "| json | outcome != `` | outcome != `success`",
    "Log lines of failed requests": f"| json | {ROUTE}status =~ `error|overloaded|timeout`",
    # Most are sent away before their route is known.
    "Log lines of refusals": (
        "| json | event = `request` | status =~ `overloaded|rate_limited|too_large|unauthorized|unavailable`"
    ),
    "Log lines of slow requests": f"| json | {ROUTE}{SLOW}",
    "Log lines of these requests": f"| json | {ROUTE}status =~ `${{status:pipe}}`",
    "Log lines of timeouts": f"| json | {ROUTE}status =~ `timeout`",
}


def test_a_link_leads_where_its_title_says():
    names = {board["uid"]: name for name, board in MIXIN.config["dashboards"].items() if "uid" in board}
    found = {}
    for board in DASHBOARDS.values():
        for title, url in [(link["title"], link["url"]) for panel in board["panels"] for link in panel["links"]]:
            uid, _, variables = url.removeprefix("/d/").partition("?")
            own = re.findall(r"\$\{(\w+):queryparam\}", variables)
            assert variables.startswith("${__url_time_range}&")
            assert own[:4] == ["datasource", "cluster", "namespace", "job"]
            assert found.setdefault(title, (names[uid], tuple(own[4:]))) == (names[uid], tuple(own[4:]))
    assert found == LEADS_TO


def test_log_lines_are_those_that_the_title_says():
    found = {
        (title, pane["queries"][0]["expr"].split("} ", 1)[1]) for (_, _, title), pane in explored(WITH_LOGS).items()
    }
    assert found == set(LINES.items())


def test_log_filters_use_fields_and_values_that_a_line_can_have():
    filters = [
        match
        for pane in explored(WITH_LOGS).values()
        for match in re.findall(r"(\w+) (?:=~|!=|=|>) (?:`([^`]*)`|\d+)", pane["queries"][0]["expr"].split("}", 1)[1])
    ]
    assert {"event", "route", "status", "duration_ms", "cancelled", "outcome"} == {field for field, _ in filters}
    contract = load_contract()
    closed = {
        "route": contract.values("kronos_requests_total", "route"),
        "status": contract.values("kronos_requests_total", "status"),
        "outcome": contract.values("kronos_model_loads_total", "outcome"),
    }
    for field, text in filters:
        assert field in FIELDS
        if field in closed and text and not text.startswith("$"):
            assert set(text.split("|")) <= set(closed[field]), (field, text)


EIGHT = (
    "Request rate",
    "Latency p50, p95, p99",
    "Error rate and types",
    "Timeout rate",
    "Concurrent requests",
    "Model inference time",
    "Input size distribution",
    "Security events",
)


@pytest.mark.parametrize("title", EIGHT)
def test_a_wall_shows_the_overview_without_scrolling(title):
    # Rows of Grafana's grid are 30 pixels high and 8 apart; in kiosk mode, variables may remain above them.
    (panel,) = (p for p in DASHBOARDS["kronos-dashboard.json"]["panels"] if p["title"].startswith(title))
    assert 80 + 38 * (panel["gridPos"]["y"] + panel["gridPos"]["h"]) <= 1080


SIMPLE = """
local config = (import 'config.libsonnet')._config.kronos;
local dashboard = import 'lib/dashboard.libsonnet';
local panel = import 'lib/panel.libsonnet';
local stat(title) = panel.stat({ title: title, description: '', unit: 'none', queries: [], steps: [] });
dashboard.new(config, {
  uid: 'simple',
  title: 'Simple',
  description: '',
  variables: [],
  source: (import 'rules/records.libsonnet')(config).kronos_requests_total,
  panels: { [name]: stat(name) for name in %(panels)s },
  rows: dashboard.rows(4, %(rows)s),
})
"""


def simple(panels, *rows):
    snippet = SIMPLE % {"panels": json.dumps(panels), "rows": json.dumps(rows)}
    made = json.loads(_jsonnet.evaluate_snippet(str(mixin_path() / "simple.jsonnet"), snippet))
    return {panel["title"]: panel for panel in made["panels"]}


def test_a_panel_keeps_its_id_when_others_are_added_or_moved():
    before, after = simple(["a", "b"], ["a", "b"]), simple(["a", "b", "c"], ["c"], ["b", "a"])
    assert before["a"]["gridPos"] != after["a"]["gridPos"]
    assert {name: after[name]["id"] for name in before} == {name: before[name]["id"] for name in before}
    assert len({panel["id"] for panel in after.values()}) == 3


@pytest.mark.parametrize(
    ("rows", "wrong"), [(["a"], "b"), (["a", "b", "b"], "b"), (["a", "b", "z"], "z")], ids=["no", "two", "unknown"]
)
def test_rows_must_list_each_panel_once(rows, wrong):
    with pytest.raises(RuntimeError, match=f"must list each panel exactly once, and no others; wrong: {wrong}\n"):
        simple(["a", "b"], rows)


def test_texts_of_panels_come_from_the_contract():
    metrics = load_contract().metrics
    panels = {panel["title"]: panel for panel in DASHBOARDS["kronos-inference.json"]["panels"]}
    for title, name in {
        "Queue depth": "kronos_queue_depth",
        "Queue wait p50, p95, p99 (5m)": "kronos_queue_wait_seconds",
        "Sample paths per step (mean)": "kronos_batch_rows",
        "Cancelled requests per minute (5m)": "kronos_cancellations_total",
    }.items():
        assert title.startswith(metrics[name].title)
        assert panels[title]["description"] == metrics[name].help


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_show_firing_alerts_as_annotations(name):
    alerts, *_ = DASHBOARDS[name]["annotations"]["list"]
    assert alerts["enable"] is True
    (firing,) = re.findall(r"ALERTS{(.*)}", alerts["expr"])
    assert firing.startswith('alertname=~"Kronos.*", alertstate="firing", ')
    assert firing.endswith(' job=~"$job"')


@pytest.mark.parametrize("name", DASHBOARDS)
def test_installations_are_never_mixed(name):
    """Each line is of one installation, and its name says which: 42 could be 40 in one cluster and 2 in another."""
    known = series.known(MIXIN, load_contract())
    place = [*MIXIN.config["aggregationLabels"], "job"]
    for panel in DASHBOARDS[name]["panels"]:
        for target in panel["targets"]:
            if target["expr"].startswith("vector("):  # a limit
                continue
            labels = promql.read(target["expr"], known).labels
            assert set(place) <= labels.keys(), f"{panel['title']}: {target['expr']}"
            assert all("{{" + label + "}}" in target["legendFormat"] for label in place), panel["title"]


def test_names_are_as_short_as_they_can_be():
    """The job is left out of names, unless it is another job or all there is to say."""
    mixin = evaluate(mixin_path(), {"kronos": {"job": "forecasts.eu"}})
    query = next(q for q in queries(mixin.dashboards["kronos-dashboard.json"], "1m") if "{{status}}" in q.legend)
    labels = {"status": "success", "job": "forecasts.eu"}
    assert query.name(labels) == "success"
    assert query.name({**labels, "cluster": "berlin"}).split() == ["success", "berlin"]
    assert query.name({**labels, "job": "forecasts-eu"}).split() == ["success", "forecasts-eu"]


def test_links_of_alerts_leave_out_missing_labels():
    links = [rule["annotations"]["dashboard_url"] for group in MIXIN.alerts for rule in group["rules"]]
    assert links
    for link in links:
        bare = re.sub(r"{{ with [^}]*}}.*?{{ end }}", "", link)
        assert re.fullmatch(r"https://grafana\.example\.com/d/[\w-]+\?var-job={{ \$labels\.job \| urlquery }}", bare)


def panels(dashboard, kind):
    return [panel for panel in dashboard["panels"] if panel["type"] == kind]


def lines(dashboard):
    return panels(dashboard, "timeseries")[0]


def number(dashboard):
    return panels(dashboard, "stat")[0]


def test_a_number_is_of_now_or_says_over_what_time():
    for board in DASHBOARDS.values():
        for panel in panels(board, "stat"):
            exprs = [target["expr"] for target in panel["targets"]]
            assert not any("$__interval" in expr or "$__rate_interval" in expr for expr in exprs), panel["title"]
            chosen = "over the chosen time" in panel["description"]
            assert all(("$__range" in expr) == chosen for expr in exprs), panel["title"]


def test_a_mark_tells_all_that_it_is_about():
    """Grafana draws one for each series: with a label more than it tells, the same mark several times."""
    for board in DASHBOARDS.values():
        marks = board["annotations"]["list"]
        assert [mark["name"] for mark in marks] == ["Alerts", "Deployments", "Models"]
        for mark in marks:
            counted = re.search(r"count by \(([^)]*)\)", mark["expr"])
            told = re.findall(r"{{(\w+)}}", mark["titleFormat"] + mark["textFormat"])
            assert counted
            assert set(counted[1].split(", ")) == set(told), mark["name"]


def override(**item):
    return lambda board: lines(board)["fieldConfig"]["overrides"].append(
        {"matcher": {"id": "byName", "options": "x"}, "properties": [item]}
    )


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (lambda board: board.update(refreshs="30s"), "/refreshs: is not a field of Dashboard"),
        (lambda board: board.update(editable="no"), "/editable: must be of the type bool"),
        (lambda board: board.update(graphTooltip=7), "/graphTooltip: 7 is not one of"),
        (lambda board: board["time"].update(form="now-1h"), "/time/form: is not a field"),
        (lambda board: board["templating"]["list"][1].update(multi="true"), "/multi: must be of the type bool"),
        (lambda board: board["templating"]["list"][1].update(refresh=9), "/refresh: 9 is not one of"),
        (lambda board: board["templating"].update(list={}), "/templating/list: must be a list"),
        (lambda board: board["links"][0].update(kind="dashboards"), "/links/0/kind: is not a field"),
        (lambda board: lines(board).update(type="timeserie"), "'timeserie' is not a panel type"),
        (lambda board: lines(board).update(datasource="Prometheus"), "/datasource: must be an object"),
        (lambda board: lines(board).update(id="one"), "/id: must be of the type int"),
        (lambda board: lines(board)["gridPos"].update(w="12"), "/gridPos/w: must be of the type int"),
        (lambda board: lines(board)["targets"][0].update(legend="{{job}}"), "/targets/0/legend: is not a field"),
        (lambda board: lines(board)["targets"][0].update(instant="yes"), "/instant: must be of the type bool"),
        (lambda board: lines(board)["targets"][0]["datasource"].update(type="prom"), "unknown type 'prom'"),
        (lambda board: lines(board)["options"].update(legends={}), "/options/legends: is not a field of Options"),
        (lambda board: lines(board)["options"]["legend"].update(placement="below"), "'below' is not one of"),
        (lambda board: lines(board)["fieldConfig"]["defaults"].update(units="s"), "/defaults/units: is not a field"),
        (lambda board: lines(board)["fieldConfig"]["defaults"]["custom"].update(linewidth=1), "/custom/linewidth:"),
        (lambda board: lines(board)["fieldConfig"]["defaults"]["custom"].update(lineWidth="1"), "/custom/lineWidth:"),
        (
            lambda board: lines(board)["fieldConfig"]["defaults"]["custom"].update(drawStyle="lines"),
            "'lines' is not one of",
        ),
        (lambda board: number(board)["options"].update(colorMode="back"), "'back' is not one of"),
        (lambda board: number(board)["options"]["reduceOptions"].update(calcs="last"), "/calcs: must be a list"),
        (
            lambda board: number(board)["fieldConfig"]["defaults"]["thresholds"]["steps"][0].update(color=1),
            "/steps/0/color: must be of the type str",
        ),
        (override(value=1), "an override without an id"),
        (override(id="custom.linewidth", value=1), "custom.linewidth is not a property of a timeseries panel"),
        (override(id="custom.lineWidth", value="1"), "/value: must be of the type float"),
        (override(id="unti", value="s"), "unti is not a property"),
        (override(id="color", value="red"), "/value: must be an object"),
    ],
)
def test_faults_are_found(fault, problem):
    dashboard = copy.deepcopy(DASHBOARDS["kronos-dashboard.json"])
    fault(dashboard)
    found = grafana_types.problems(dashboard)
    assert len(found) >= 1
    assert any(problem in line for line in found), found


def test_a_row_is_known():
    row = {
        "type": "row",
        "title": "More",
        "collapsed": False,
        "id": 99,
        "gridPos": {"x": 0, "y": 99, "w": 24, "h": 1},
    }
    dashboard = {**DASHBOARDS["kronos-slo.json"], "panels": [{**row, "panels": []}]}
    assert grafana_types.problems(dashboard) == []
    dashboard["panels"][0]["colapsed"] = True
    assert grafana_types.problems(dashboard) == ["/panels/0/colapsed: is not a field of RowPanel"]
