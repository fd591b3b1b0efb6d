"""Faults in a Grafana before a real Prometheus, each found by its own check and by no other."""

from __future__ import annotations

import copy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import load_contract
from kronos_mixin.drill.kronos import Behaviour, Instance
from kronos_mixin.verify import dashboards, sources
from kronos_mixin.verify.board import differences
from kronos_mixin.verify.check import State, outcomes
from kronos_mixin.verify.checks import CHECKS
from kronos_mixin.verify.stack import Stack
from proof.servers import binaries
from proof.servers.central import compile_into
from proof.servers.grafana import Grafana
from proof.servers.process import free_port
from proof.servers.prometheus import Prometheus

OURS = [check.name for check in (*dashboards.CHECKS, *sources.CHECKS)]
OVERVIEW, FOLDER = "kronos-dashboard.json", "Kronos"


@pytest.fixture(scope="module")
def kronos():
    """The address of a simulated Kronos."""
    instance = Instance(load_contract(), "a", Behaviour())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = instance.scrape().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format, *arguments):  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory, kronos):
    """The mixin, and a Prometheus with its series and records."""
    folder = tmp_path_factory.mktemp("central")
    job = {
        "job_name": "kronos-api",
        "scrape_interval": "1s",
        "static_configs": [{"targets": [kronos], "labels": {"cluster": "berlin"}}],
    }
    mixin = compile_into(folder, {"evaluationInterval": "1s"}, [job])
    with Prometheus(binaries.newest(), folder / "prometheus.yml") as prometheus:
        prometheus.wait_for("job:kronos_model_ready:max")
        yield mixin, prometheus


@pytest.fixture(scope="module")
def stranger():
    """A Prometheus that knows nothing of Kronos."""
    with Prometheus(binaries.newest(), {}) as running:
        yield running


@pytest.fixture(scope="module")
def empty():
    with Grafana() as running:
        yield running


class Bench:
    """A Grafana with our dashboards, which a test may change."""

    def __init__(self, mixin, prometheus, grafana):
        self.mixin, self.prometheus, self.grafana = mixin, prometheus, grafana
        grafana.clear()
        grafana.add_data_source("prom", "Prometheus", prometheus.url, default=True)
        for file in mixin.dashboards:
            self.keep(file)

    def keep(self, name=OVERVIEW, folder=FOLDER, *, change=None, **how):
        """Keep a dashboard as `change` makes it."""
        board = copy.deepcopy(dict(self.mixin.dashboards[name]))
        if change:
            change(board)
        how = {"file": f"/dashboards/{name}", "version": 1, **how}
        return self.grafana.keep(board, folder, **how)

    def copy(self, uid, other, folder=FOLDER):
        self.grafana.keep({**self.grafana.dashboards[uid].spec, "uid": other}, folder)

    def move(self, uid, other):
        self.copy(uid, other)
        del self.grafana.dashboards[uid]

    def source(self, uid, name, *, url="", kind="prometheus", default=False):
        """Add a data source, or replace one; the newest default is the only one."""
        for one in self.grafana.data_sources.values() if default else ():
            one["isDefault"] = False
        self.grafana.add_data_source(uid, name, url or self.prometheus.url, kind=kind, default=default)

    def found(self, token=None):
        """What is wrong, but for checks that wait for another one: findings, or the reason why there are none."""
        connections = Connections(Connection(self.prometheus.url), grafana=self.grafana.connection(token))
        with Stack(connections, self.mixin, load_contract()) as stack:
            ended = list(outcomes(CHECKS, stack, OURS))
        return {
            one.check.name: one.reason or "; ".join(finding.wrong for finding in one.findings)
            for one in ended
            if one.state not in {State.ok, State.skipped} and not one.reason.endswith("has to be right first")
        }


@pytest.fixture
def bench(scraped, empty):
    return Bench(*scraped, empty)


GENERATIONS = {
    "10.4": {"version": "10.4.19", "apis": ()},
    "12": {"version": "12.1.0"},
    "without the older": {"version": "13.2.0", "apis": ("v0alpha1", "v1beta1", "v1", "v2"), "api": False},
}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_nothing_is_found_where_all_is_well(scraped, generation):
    with Grafana(**GENERATIONS[generation]) as grafana:
        bench = Bench(*scraped, grafana)
        assert bench.found() == {}
        assert bench.found("glsa_viewer") == {}
        bench.keep(change=edit_a_query)
        assert list(bench.found()) == ["dashboards-equal"]
        del grafana.dashboards["kronos-slo"]
        bench.keep()
        assert list(bench.found()) == ["dashboards-there"]


def test_without_a_grafana_it_is_skipped(scraped):
    mixin, prometheus = scraped
    with Stack(Connections(Connection(prometheus.url)), mixin, load_contract()) as stack:
        ended = [one for one in outcomes(CHECKS, stack, OURS) if one.state is not State.skipped]
    assert ended == []


def test_where_links_in_alerts_lead_is_told(bench):
    connections = Connections(Connection(bench.prometheus.url), grafana=bench.grafana.connection())
    with Stack(connections, bench.mixin, load_contract()) as stack:
        (outcome,) = outcomes(CHECKS, stack, ["dashboards-there"])
    assert outcome.state is State.ok
    assert "links in alerts lead to grafana.example.com" in outcome.findings[0].wrong


def panel(board, title="Request rate"):
    return next(one for one in board["panels"] if one["title"].startswith(title))


def variable(board, name):
    return next(one for one in board["templating"]["list"] if one["name"] == name)


def edit_a_query(board):
    target = panel(board)["targets"][0]
    target["expr"] = target["expr"].replace("60 *", "61 *")


def hide_a_query(board):
    panel(board)["targets"][0]["hide"] = True


def take_a_panel_away(board):
    board["panels"].remove(panel(board))


def add_a_panel(board):
    board["panels"].append({**copy.deepcopy(panel(board)), "id": 7, "title": "Mine"})


def copy_a_panel(board):
    board["panels"].append({**copy.deepcopy(panel(board)), "id": 7})


def move_a_panel(board):
    panel(board)["gridPos"]["x"] += 1


def change_a_threshold(board):
    panel(board, "Ready")["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] = 0.123


def change_a_unit(board):
    panel(board)["fieldConfig"]["defaults"]["unit"] = "bytes"


def limit_an_axis(board):
    panel(board)["fieldConfig"]["defaults"]["max"] = 10


def free_an_axis(board):
    del panel(board)["fieldConfig"]["defaults"]["min"]


def add_an_override(board):
    matcher = {"id": "byName", "options": "x"}
    panel(board)["fieldConfig"]["overrides"].append({"matcher": matcher, "properties": []})


def shift_the_time(board):
    panel(board)["timeShift"] = "1d"


def change_a_variable(board):
    variable(board, "route")["query"]["query"] = "label_values(up, route)"
    variable(board, "route")["definition"] = "label_values(up, route)"


def take_a_variable_away(board):
    board["templating"]["list"].remove(variable(board, "status"))


def fix_the_data_source(board):
    text = json.dumps(panel(board)["targets"][0])
    panel(board)["targets"][0] = json.loads(text.replace("${datasource}", "prom"))


def switch_an_annotation_off(board):
    board["annotations"]["list"][0]["enable"] = False


def rename(board):
    board["title"] = "Ours"


def older(board):
    """An older version, which had fewer panels, and another window."""
    board["panels"] = board["panels"][:3]
    text = json.dumps(board["panels"]).replace("rate5m", "rate10m")
    board["panels"] = json.loads(text)


EDITS = {
    edit_a_query: "panel 'Request rate",
    hide_a_query: "target A.hide is True, and should not be there",
    take_a_panel_away: "is missing",
    add_a_panel: "panel 'Mine' is there, and should not be",
    copy_a_panel: " (2) is there, and should not be",
    move_a_panel: ".gridPos.x is",
    change_a_threshold: "value is 0.123 instead of",
    change_a_unit: "unit is 'bytes' instead of",
    limit_an_axis: "max is 10, and should not be there",
    free_an_axis: "min is missing",
    add_an_override: "overrides has",
    shift_the_time: "timeShift is '1d', and should not be there",
    change_a_variable: "variable 'route'.",
    take_a_variable_away: "variable 'status' is missing",
    fix_the_data_source: "datasource.uid is 'prom' instead of",
    switch_an_annotation_off: "annotation 'Alerts'.enable is False instead of True",
    rename: "title is 'Ours' instead of 'Kronos / Overview'",
    older: "more differences (provisioned from /dashboards/kronos-dashboard.json)",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_an_edit_is_found(bench, edit):
    bench.keep(change=edit)
    found = bench.found()
    assert list(found) == ["dashboards-equal"], found
    assert EDITS[edit] in found["dashboards-equal"]


def test_who_has_edited_it_is_told(bench):
    bench.keep(change=change_a_unit, file="", by="alice", version=7)
    assert "(version 7, saved by alice at 2" in bench.found()["dashboards-equal"]


def as_saved_by_grafana(board):
    """What becomes of a dashboard that is saved in Grafana without any change, and on its way through /apis."""
    board |= {"schemaVersion": 42, "fiscalYearStartMonth": 0, "liveNow": False, "weekStart": "", "preload": False}
    board["annotations"]["list"].insert(
        0,
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
    )
    for one in board["panels"]:
        one |= {"pluginVersion": "12.1.0", "transparent": False}
        one["options"]["tooltip"] = {**one["options"].get("tooltip", {}), "hideZeros": False}
        one["fieldConfig"]["defaults"].setdefault("custom", {})["barAlignment"] = 0
        one["fieldConfig"]["defaults"].setdefault("mappings", [])
        for step in one["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", []):
            if step["value"] is None:
                step["value"] = 0  # Grafana 12 writes no null.
        for target in one["targets"]:
            target |= {"includeNullMetadata": True, "useBackend": False, "disableTextWrap": False}
            if not target.get("exemplar"):
                target.pop("exemplar", None)
    for one in board["templating"]["list"]:
        one |= {"allowCustomValue": True, "options": []}
        for key in ("hide", "skipUrlSync", "regex"):
            if not one.get(key):
                one.pop(key, None)
    board["tags"] = [*board["tags"], "kronos-mixin:kronos"]


HARMLESS = {
    "saved in Grafana": lambda bench: bench.keep(change=as_saved_by_grafana, file="", version=3),
    "another data source is the default of another type": lambda bench: bench.source(
        "logs", "Logs", kind="loki", default=True
    ),
    "saved with the data source that there is": lambda bench: bench.keep(change=choose("datasource", "prom")),
    "saved with a cluster that there is": lambda bench: bench.keep(change=choose("cluster", ["berlin"])),
    "a dashboard of others": lambda bench: bench.grafana.keep(
        {"uid": "other", "title": "Kronos / Overview of mine", "panels": [], "tags": ["kronos"]}, "Mine"
    ),
    "the newer schema": lambda bench: bench.keep(change=as_saved_by_grafana, file="", schema="v2beta1"),
    "those of a second environment": lambda bench: bench.grafana.keep(
        json.loads(
            json.dumps({**bench.mixin.dashboards[OVERVIEW], "uid": "kronos-staging"}).replace("kronos-api", "staging")
        ),
        "Staging",
    ),
    "at the top": lambda bench: [bench.keep(file, "") for file in bench.mixin.dashboards],
}


def choose(name, value):
    def change(board):
        variable(board, name)["current"] = {"text": value, "value": value}

    return change


@pytest.mark.parametrize("state", HARMLESS)
def test_what_is_no_fault_is_not_found(bench, state):
    HARMLESS[state](bench)
    assert bench.found() == {}


FAULTS = {
    "not imported": (
        lambda bench: bench.grafana.dashboards.clear(),
        "dashboards-there",
        "Grafana has none of our dashboards",
    ),
    "one is missing": (
        lambda bench: bench.grafana.dashboards.pop("kronos-slo"),
        "dashboards-there",
        "(kronos-slo) is missing",
    ),
    "imported under another uid": (
        lambda bench: bench.move("kronos-slo", "fe1x2"),
        "dashboards-there",
        "has the uid fe1x2 instead of kronos-slo",
    ),
    "provisioned twice": (
        lambda bench: bench.copy("kronos-slo", "fe1x2", "Old"),
        "dashboards-once",
        "is there twice: the other has the uid fe1x2, in the folder Old",
    ),
    "in two folders": (
        lambda bench: bench.keep(folder="Ops"),
        "dashboards-once",
        "in several folders: the folder Kronos, the folder Ops",
    ),
    "pushed once": (
        lambda bench: bench.grafana.keep(
            {"uid": "kronos-old", "title": "Gone", "panels": [], "tags": ["kronos-mixin:kronos"]}, FOLDER
        ),
        "dashboards-once",
        "Gone (kronos-old) was pushed once",
    ),
    "edited in the newer schema": (
        lambda bench: bench.keep(change=edit_a_query, file="", schema="v2beta1"),
        "dashboards-equal",
        "Kronos / Overview: panel 'Request rate",
    ),
    "no data source": (
        lambda bench: bench.grafana.data_sources.clear(),
        "dashboards-source",
        "has no data source of the type prometheus",
    ),
    "a data source of another type only": (
        lambda bench: [bench.grafana.data_sources.clear(), bench.source("logs", "Logs", kind="loki", default=True)],
        "dashboards-source",
        "has no data source of the type prometheus",
    ),
    "a default of another type, and two that fit": (
        lambda bench: [bench.source("second", "Zulu"), bench.source("logs", "Logs", kind="loki", default=True)],
        "dashboards-source",
        "the default data source is Logs, of the type loki",
    ),
    "no default, and two that fit": (
        lambda bench: [bench.source("prom", "Prometheus"), bench.source("second", "Zulu")],
        "dashboards-source",
        "the default data source is none",
    ),
    "a data source that is down": (
        lambda bench: bench.source("prom", "Prometheus", url=f"http://127.0.0.1:{free_port()}", default=True),
        "dashboards-source",
        "can't use its data source Prometheus",
    ),
    "a data source with a wrong path": (
        lambda bench: bench.source("prom", "Prometheus", url=f"{bench.prometheus.url}/prom", default=True),
        "dashboards-source",
        "can't use its data source Prometheus: 404",
    ),
    "a data source that is gone": (
        lambda bench: bench.keep(change=choose("datasource", "gone")),
        "dashboards-variables",
        "the variable datasource starts with gone, which is no data source",
    ),
    "a cluster that is gone": (
        lambda bench: bench.keep(change=choose("cluster", ["berlin", "rome"])),
        "dashboards-variables",
        "the variable cluster starts with rome, which no series has",
    ),
    "an older Grafana": (
        lambda bench: setattr(bench.grafana, "version", "9.5.21"),
        "grafana-answers",
        "this is Grafana 9.5.21",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_its_check_alone(bench, fault):
    apply, check, said = FAULTS[fault]
    apply(bench)
    found = bench.found()
    assert list(found) == [check], found
    assert said in found[check]


def test_a_data_source_of_another_server(bench, stranger):
    bench.source("prom", "Prometheus", url=stranger.url, default=True)
    found = bench.found()
    assert list(found) == ["dashboards-source"]
    assert "leads to a server that has no series of the job" in found["dashboards-source"]


@pytest.mark.parametrize("saved", [None, choose("datasource", "second")], ids=["the default", "the chosen one"])
def test_only_the_data_source_that_dashboards_start_with_counts(bench, stranger, saved):
    bench.source("second", "Second", url=stranger.url)
    bench.keep(change=saved)
    assert list(bench.found()) == (["dashboards-source"] if saved else [])


def test_a_wrong_token(bench):
    found = bench.found("glsa_wrong")
    assert list(found) == ["grafana-answers"]
    assert "does not accept these credentials" in found["grafana-answers"]


def test_another_server_answers(bench, stranger):
    bench.grafana = type("Other", (), {"connection": lambda _, __: Connection(stranger.url)})()
    assert list(bench.found()) == ["grafana-answers"]


def test_a_token_with_too_few_rights(bench):
    """It is not said that dashboards or data sources are missing, but that the token may not see them."""
    found = bench.found("glsa_none")
    assert "Permissions needed: dashboards:read" in found["dashboards-there"]
    assert "role Viewer" in found["dashboards-equal"]
    bench.grafana.actions["Viewer"] -= {"datasources:query"}
    found = bench.found("glsa_viewer")
    assert set(found) == {"dashboards-source", "dashboards-variables"}
    assert all("Permissions needed: datasources:read" in said for said in found.values())


def test_a_difference_in_layout_is_none(scraped):
    board = scraped[0].dashboards[OVERVIEW]
    other = copy.deepcopy(dict(board))
    target = panel(other)["targets"][0]
    target["expr"] = f"\n  {target['expr']} "
    other["panels"].reverse()
    assert differences(board, other) == []
