"""Two servers that scrape and evaluate, one old and one new, and a centre, as monitoring/README.md shows them."""

from __future__ import annotations

import contextlib
import re

import pytest
import yaml

from kronos_mixin.compile import render
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import binaries
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service

README = (mixin_path().parent / "monitoring" / "README.md").read_text()
CLUSTERS = ("berlin", "paris")
FAST = {"interval": "1s", "timeout": "1s"}
KNOBS = {
    "rateWindow": "15s",
    "evaluationInterval": "1s",
    "slowEvaluationInterval": "1s",
    "scrape": FAST,
    "requests": {"sparseWindow": "30s"},
    "alerts": {"KronosClusterSilent": {"for": "1s"}},
}


def sending(text: str, cluster: str, centre: str) -> str:
    """A configuration, with what the example adds for a cluster."""
    (example,) = re.findall(r"```yaml\n(# In the cluster berlin.*?)```", README, re.DOTALL)
    config, added = yaml.safe_load(text), yaml.safe_load(example)
    config["global"] = (config.get("global") or {}) | {"external_labels": {"cluster": cluster}}
    (remote,) = added["remote_write"]
    remote["url"] = remote["url"].replace("http://centre:9090", centre)
    return yaml.safe_dump(config | {"remote_write": [remote]}, sort_keys=False)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The service, an edge per cluster that scrapes it, and the centre."""
    mixin = evaluate(mixin_path(), {"kronos": KNOBS})
    with contextlib.ExitStack() as running:
        service = running.enter_context(Service({"drain_seconds": 0}))
        centre_folder = tmp_path_factory.mktemp("centre")
        (centre_folder / "central.yml").write_text(render(mixin)["central/kronos-central-alerts.yml"])
        (centre_folder / "prometheus.yml").write_text("rule_files: [central.yml]\n")
        # The last sample of a series is seen for five minutes, unless told otherwise.
        flags = ["--web.enable-remote-write-receiver", "--query.lookback-delta=5s"]
        centre = running.enter_context(Prometheus(binaries.newest(), centre_folder / "prometheus.yml", flags=flags))
        edges = {}
        for cluster, tools in zip(CLUSTERS, (binaries.every()[0], binaries.newest()), strict=True):
            folder = tmp_path_factory.mktemp(cluster)
            compile_into(folder, KNOBS | {"scrape": {**FAST, "targets": [f"127.0.0.1:{service.port}"]}})
            path = folder / "prometheus.yml"
            path.write_text(sending(path.read_text(), cluster, centre.url))
            edges[cluster] = running.enter_context(Prometheus(tools, path))
        yield edges, centre


def test_the_centre_has_what_each_edge_recorded(fleet):
    edges, centre = fleet
    for cluster, edge in edges.items():
        # At one time in the past, which both have.
        old = f'timestamp(job_route_status:kronos_requests:rate15s{{cluster="{cluster}"}} offset 10s)'
        at = min(sample.value for sample in centre.wait_for(old, timeout=60))
        recorded = edge.query('{__name__=~"job.*:kronos_.*"}', at)
        received = centre.query(f'{{__name__=~"job.*:kronos_.*", cluster="{cluster}"}}', at)
        named = {tuple(sorted(s.labels.items())): s.value for s in recorded}
        assert len(named) > 40
        without = {tuple(sorted((k, v) for k, v in s.labels.items() if k != "cluster")): s.value for s in received}
        assert without == named


def test_the_centre_has_nothing_that_was_scraped_but_up(fleet):
    _, centre = fleet
    names = {sample.labels["__name__"] for sample in centre.query('{__name__!=""}')}
    assert {name for name in names if ":" not in name} <= {"up", "ALERTS"}
    assert centre.query("count by (cluster) (up)")


def test_an_edge_that_is_killed_is_noticed(fleet):
    edges, centre = fleet
    assert centre.query('ALERTS{alertname="KronosClusterSilent"}') == []
    edges["paris"].process.stop()
    fired = centre.wait_for('ALERTS{alertname="KronosClusterSilent", alertstate="firing"}', timeout=60)
    assert [sample.labels["cluster"] for sample in fired] == ["paris"]
