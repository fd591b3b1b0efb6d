"""The whole path on real parts: the service, each Prometheus, the compiled rules, alerts, scrape config and panels.

Minutes become seconds through the mixin's configuration alone; no compiled file is touched.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import httpx
import pytest

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import mixin_path
from kronos_mixin.drill.measures import BATCH, SINGLE
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.panels import queries
from proof.scene.live import series
from proof.servers import binaries, promtool
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service
from tests.tool.verify.bench import is_well, wait_until

SETTINGS = {"drain_seconds": 0}


def knobs(port: int) -> dict:
    return {
        "rateWindow": "20s",
        "evaluationInterval": "1s",
        "slowEvaluationInterval": "1s",
        "scrape": {"targets": [f"127.0.0.1:{port}"], "interval": "1s", "timeout": "1s"},
        "requests": {"sparseWindow": "1m", "guardWindow": "2m"},
        "alerts": {"KronosServiceDown": {"for": "2s", "keepFiringFor": "0s", "window": "10s"}},
    }


def send(service: Service, seconds: float) -> dict[tuple[str, str], int]:
    """Mixed traffic; returns how many requests of each route had which status."""
    sent: dict[tuple[str, str], int] = {}
    kinds = [
        (SINGLE, series(30, 3), "success", 200),
        (BATCH, {"items": [series(30, 3), series(60, 5)]}, "success", 200),
        (SINGLE, series(30, -1), "invalid", 422),
        ("/v1/no/such/path", {}, "invalid", 404),
    ]
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
        while time.monotonic() < deadline:
            for path, body, status, code in kinds:
                assert client.post(path, json=body).status_code == code
                key = (path if path in (SINGLE, BATCH) else "unmatched", status)
                sent[key] = sent.get(key, 0) + 1
            time.sleep(0.1)
    return sent


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The service, the compiled mixin, and one Prometheus of each version, all of them running at once."""
    folder = tmp_path_factory.mktemp("monitoring")
    with contextlib.ExitStack() as running:
        service = running.enter_context(Service(SETTINGS))
        mixin = compile_into(folder, knobs(service.port))
        servers = [running.enter_context(Prometheus(t, folder / "prometheus.yml")) for t in binaries.every()]
        converting = running.enter_context(converter(folder / "converted", service.port))
        for server in [*servers, converting]:
            server.wait_for('up{job="kronos-api"} == 1', timeout=30)
        # Prometheus counts an increase only from the second scrape on.
        time.sleep(1.5)
        sent = send(service, 12)
        yield service, mixin, servers, sent, converting


def converter(folder: Path, port: int) -> Prometheus:
    """The newest Prometheus, made to convert classic histograms to native ones, and the rules for that."""
    tools = binaries.newest()
    assert tools.release >= (3, 5)
    (job,) = compile_into(folder, converted(port)).scrape_configs
    compile_into(folder, converted(port), [{**job, "convert_classic_histograms_to_nhcb": True}])
    return Prometheus(tools, folder / "prometheus.yml", flags=["--enable-feature=native-histograms"])


def converted(port: int) -> dict:
    return {**knobs(port), "histograms": "native"}


def test_the_versions_that_are_tried(path):
    releases = [server.tools.release[:2] for server in path[2]]
    assert releases[0] >= (2, 42)
    assert releases == sorted(releases)


def test_every_version_accepts_the_compiled_files(path, tmp_path):
    compile_into(tmp_path, knobs(8000))
    for server in path[2]:
        promtool.check_config(server.tools, tmp_path / "prometheus.yml")
        for file in (tmp_path / "prometheus").glob("kronos-*.yml"):
            promtool.check_rules(server.tools, file)


def test_no_rule_fails(path):
    for server in path[2]:
        rules = [rule for group in server.rules() for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}, server.tools.version


def test_verify_finds_nothing(path):
    service, mixin, servers, _, converting = path
    native = evaluate(mixin_path(), {"kronos": converted(service.port)})
    for server, compiled in [*((server, mixin) for server in servers), (converting, native)]:
        # On a busy machine, an evaluation may take longer than this interval of a second.
        wait_until(
            lambda found: is_well({name: one for name, one in found.items() if name != "rules-evaluated"}),
            Connections(prometheus=Connection(server.url)),
            compiled,
        )


def test_every_query_of_the_overview_gives_data(path):
    _, mixin, servers, *_ = path
    dashboard = mixin.dashboards["kronos-dashboard.json"]
    for server in servers:
        server.wait_for("sum(job_route_status:kronos_requests:rate20s) > 0")
        # A window of one evaluation would be empty while the next one goes on.
        # Nothing fires: only the line that says so has a value.
        asked = [q for q in queries(dashboard, "3s") if "{{alertname}}" not in q.legend]
        empty = [q for q in asked if not server.query(q.expr)]
        assert empty == [], server.tools.version


@pytest.mark.parametrize(
    ("dashboard", "variable", "value"),
    [("kronos-inference.json", "route", SINGLE), ("kronos-dashboard.json", "status", "success")],
)
def test_a_filter_leaves_what_was_chosen(path, dashboard, variable, value):
    _, mixin, servers, *_ = path
    panels = mixin.dashboards[dashboard]
    everything = next(q for q in queries(panels, "1s") if q.panel.startswith("Request rate"))
    chosen = next(q for q in queries(panels, "1s", {variable: value}) if q.panel.startswith("Request rate"))
    for server in servers:
        assert {sample.labels[variable] for sample in server.query(everything.expr)} > {value}
        assert {sample.labels[variable] for sample in server.query(chosen.expr)} == {value}


def test_prometheus_counts_what_was_sent(path):
    _, _, servers, sent, _ = path
    for server in servers:
        server.wait_for(
            'kronos_requests_total{status=~"success|invalid"} > 0',
            lambda samples: {(s.labels["route"], s.labels["status"]): s.value for s in samples} == sent,
            timeout=10,
        )


def test_converted_histograms(path):
    """Where Prometheus converts them there are no buckets, and rules and panels tell the same."""
    service, _, servers, _, converting = path
    assert converting.query('{__name__=~"kronos_.*_bucket"}') == []
    assert {rule["health"] for group in converting.rules() for rule in group["rules"]} == {"ok"}
    for record in ("job_route:kronos_requests_slow:ratio_rate20s", "job_route:kronos_model_inferences:rate20s"):
        routes = {sample.labels["route"] for sample in converting.wait_for(record)}
        assert routes == {sample.labels["route"] for sample in servers[-1].query(record)}
    dashboards = evaluate(mixin_path(), {"kronos": converted(service.port)}).dashboards
    for name in ("kronos-dashboard.json", "kronos-inference.json"):
        of_histograms = [q for q in queries(dashboards[name], "5m") if re.search("histogram_|_bucket", q.expr)]
        assert of_histograms
        assert [q for q in of_histograms if not converting.query(q.expr)] == []


def test_killed_and_started_again(path):
    """KronosServiceDown fires when the service is gone, alone, and resolves when it is back."""
    service, _, servers, *_ = path
    assert [server.query('ALERTS{alertstate="firing"}') for server in servers] == [[] for _ in servers]
    service.process.stop()
    for server in servers:
        fired = server.wait_for('ALERTS{alertstate="firing"}', timeout=60)
        assert [sample.labels["alertname"] for sample in fired] == ["KronosServiceDown"]
        (alert,) = [alert for alert in server.alerts() if alert["state"] == "firing"]
        assert alert["labels"]["job"] == "kronos-api"
        assert "could reach only" in alert["annotations"]["description"]
    with Service(SETTINGS, port=service.port):
        for server in servers:
            server.wait_for('ALERTS{alertstate="firing"}', lambda samples: not samples, timeout=60)
