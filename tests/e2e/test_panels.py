"""Every panel of every dashboard, held against real data: a back-filled half day, and the live service.

Half of it is faults, put into a dashboard on purpose: a check that finds nothing proves nothing by itself.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections import Counter

import pytest

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import load_contract
from kronos_mixin.drill.story import END, INSTANCES
from kronos_mixin.verify import answers
from kronos_mixin.verify.check import State, outcomes
from kronos_mixin.verify.panel_check import Span, check, values
from kronos_mixin.verify.panels import queries
from kronos_mixin.verify.stack import Stack
from proof.scene import backfill, truth
from proof.scene.live import SILENT, play
from proof.servers import binaries
from proof.servers.prometheus import Prometheus

HOURS = 10
SPAN = Span(END - HOURS * 3600, END, backfill.STEP, backfill.STEP)
OVERVIEW = truth.OVERVIEW
MIXIN = backfill.compile_for_history()


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """A Prometheus with the last hours of the story's day, the story itself, and where the series are."""
    folder = tmp_path_factory.mktemp("history")
    tools = binaries.newest()
    told = backfill.fill(tools, MIXIN, folder, HOURS)
    with backfill.serve(tools, folder / "data") as server:
        yield server, told, folder / "data"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with play(binaries.newest(), tmp_path_factory.mktemp("scene")) as played:
        yield played


def test_every_panel_of_the_history(history):
    findings = check(history[0], MIXIN.dashboards, SPAN)
    assert findings == [], "\n".join(map(str, findings))


def test_the_overview_says_what_happened(history):
    findings = truth.disagreements(history[0], MIXIN.dashboards[OVERVIEW], history[1], load_contract(), SPAN)
    assert findings == [], "\n".join(map(str, findings))


@pytest.mark.parametrize("name", MIXIN.dashboards)
def test_every_variable_has_values(history, name):
    offered = values(history[0], MIXIN.dashboards[name], SPAN)
    wanted = [v["name"] for v in MIXIN.dashboards[name]["templating"]["list"] if v["type"] == "query"]
    assert list(offered) == wanted
    assert offered["job"] == ["kronos-api"]
    assert offered.get("instance", [one.name for one in INSTANCES]) == [one.name for one in INSTANCES]


def test_every_panel_of_the_live_scene(live):
    findings = check(live.prometheus, live.mixin.dashboards, live.span, SILENT)
    assert findings == [], "\n".join(map(str, findings))


@pytest.mark.parametrize(
    ("dashboard", "place", "label"), [("kronos-inference.json", 0, "route"), (OVERVIEW, 1, "status")]
)
def test_the_live_panels_count_what_was_sent(live, dashboard, place, label):
    wanted = {"success", "invalid", "unauthorized", "too_large", "rate_limited", "timeout", "cancelled", "error"}
    assert {status for _, status in live.sent} >= wanted
    span = live.span
    asked = queries(live.mixin.dashboards[dashboard], "1s", rate_interval=span.rate_interval, span=span.whole)
    found = next(query for query in asked if query.panel.startswith("Request rate per minute"))
    lines = live.prometheus.query_range(found.expr, span.begin, span.end, span.step)
    shown = {s.labels[label]: sum(value for _, value in s.points) * span.step / 60 for s in lines}
    shown = {key: count for key, count in shown.items() if count}
    sent = Counter[str]()
    for key, count in live.sent.items():
        sent[key[place]] += count
    # A rate reaches over the edges of its window: a few requests more or less.
    assert shown == pytest.approx(dict(sent), rel=0.2, abs=3)


def seeded(title, old, new):
    """The overview with one of its panels only, in which `old` has become `new` wherever it stood."""
    source = MIXIN.dashboards[OVERVIEW]
    (panel,) = [panel for panel in source["panels"] if panel["title"].startswith(title)]
    before = json.dumps(panel)
    after = before.replace(json.dumps(old)[1:-1], json.dumps(new)[1:-1])
    assert after != before, f"{title} has no {old}"
    return {OVERVIEW: {**source, "panels": [json.loads(after)]}}


FAULTS = {
    "a metric that nobody exposes": (
        "Request rate",
        "job_route_status:kronos_requests:rate5m",
        "job_route_status:kronos_request:rate5m",
        "which has no data",
    ),
    "a label that the series does not have": ("Request rate", 'status=~"$status"', 'state=~"$status"', "is empty"),
    "a value that the label never has": (
        "Critical alerts",
        'alertstate="firing"',
        'alertstate="fired"',
        "is empty, though",
    ),
    "a filter that matches nothing": ("Timeout rate", 'route=~"$route"', 'route="$route"', "is empty"),
    "a label that the legend does not have": ("Latency p50", "p95 {{route}}", "p95 {{rute}}", "shows the label rute"),
    "a legend that does not tell lines apart": (
        "Latency p50",
        "p95 {{route}} ",
        "p95 ",
        "2 lines are all named 'p95 eu ml'",
    ),
    "two queries of one name": (
        "Latency p50",
        "p95 {{route}}",
        "p50 {{route}}",
        "2 lines are all named 'p50 batch eu",
    ),
    "percentiles in the wrong order": (
        "Latency p50",
        "histogram_quantile(0.50",
        "histogram_quantile(0.999",
        "is below p50",
    ),
    "a ratio the wrong way round": (
        "Error rate",
        "sum by (cluster, namespace, job, route) (avg_over_time(job_route:kronos_requests_failed",
        "2 - sum by (cluster, namespace, job, route) (avg_over_time(job_route:kronos_requests_failed",
        "is a ratio of",
    ),
    "a ratio without its guard": ("Error rate", " > 0)", " * 0)", "is nan"),
    "a percentage as a ratio": ("Ready", "avg by (", "100 * avg by (", "is a ratio of 100"),
    "an expression that does not parse": ("Request rate", "sum by (", "sum by ((", "is refused by Prometheus"),
    "a variable that does not exist": ("Request rate", "$status", "$state", "reads the variable 'state'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(history, fault):
    title, old, new, reason = FAULTS[fault]
    findings = check(history[0], seeded(title, old, new), SPAN)
    assert any(reason in one.reason for one in findings), "\n".join(map(str, findings)) or "nothing was found"
    assert {one.dashboard for one in findings} == {OVERVIEW}
    assert all(one.panel.startswith(title) or one.panel == "all" for one in findings)


class Past(Stack):
    """What a stack held at the end of the story."""

    now = END


@pytest.fixture
def verified(history):
    """Says what `verify` finds in panels of dashboards, by default all of the mixin's."""

    def verified(dashboards=MIXIN.dashboards, server=None):
        mixin = dataclasses.replace(MIXIN, dashboards=dashboards)
        connections = Connections(Connection((server or history[0]).url))
        with Past(connections, mixin, load_contract()) as stack:
            (outcome,) = outcomes(answers.CHECKS, stack)
        return outcome

    return verified


def test_verify_finds_nothing_in_the_history(verified):
    assert verified().findings == ()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("a label that the series does not have", "empty, though what is read there is not"),
        ("an expression that does not parse", "parse error"),
    ],
)
def test_verify_finds_a_fault(verified, fault, said):
    outcome = verified(seeded(*FAULTS[fault][:3]))
    assert outcome.findings
    assert all(said in finding.wrong for finding in outcome.findings)


def test_verify_finds_a_server_that_refuses(history, verified, tmp_path):
    data = shutil.copytree(history[2], tmp_path / "data", ignore=shutil.ignore_patterns("lock"))
    flags = [*backfill.FLAGS, "--query.max-samples=100"]
    with Prometheus(binaries.newest(), {}, data=data, flags=flags) as small:
        outcome = verified(seeded("Request rate", "60 *", "61 *"), small)
    assert outcome.state is State.error
    assert "too many samples" in outcome.findings[0].wrong


def test_verify_finds_slow_panels(verified, monkeypatch):
    monkeypatch.setattr(answers, "SLOW", 0)
    outcome = verified(seeded("Request rate", "60 *", "61 *"))
    assert outcome.state is State.warning
    assert "panels take more than 0 s" in outcome.findings[-1].wrong


LIES = {
    "twice the rate": ("Request rate", "60 * sum by (", "120 * sum by (", "there were"),
    "another percentile": ("Latency p50", "histogram_quantile(0.95", "histogram_quantile(0.5", "has a p95 of"),
    "half the errors": (
        "Error rate",
        "sum by (cluster, namespace, job, route) (avg_over_time(job_route:kronos_requests_failed",
        "0.5 * sum by (cluster, namespace, job, route) (avg_over_time(job_route:kronos_requests_failed",
        "failed",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_plausible_lie_is_found(history, lie):
    """Nothing is empty, no ratio is above 1, and still it is not what happened."""
    title, old, new, reason = LIES[lie]
    (wrong,) = seeded(title, old, new).values()
    others = [p for p in MIXIN.dashboards[OVERVIEW]["panels"] if not p["title"].startswith(title)]
    dashboard = {**wrong, "panels": wrong["panels"] + others}
    findings = truth.disagreements(history[0], dashboard, history[1], load_contract(), SPAN)
    assert findings
    assert all(one.panel.startswith(title) and reason in one.reason for one in findings), findings


def test_without_data_every_query_is_found():
    with Prometheus(binaries.newest(), {}) as server:
        findings = check(server, MIXIN.dashboards, SPAN)
    asked = {target["expr"] for d in MIXIN.dashboards.values() for p in d["panels"] for target in p["targets"]}
    asked = {expr for expr in asked if not re.fullmatch(r"vector\([^()]*\)", expr)}  # Limits need no data.
    asked |= {annotation["expr"] for d in MIXIN.dashboards.values() for annotation in d["annotations"]["list"]}
    assert len({finding.query for finding in findings}) == len(asked)
