"""Two shards that scrape, and a ruler above them, as monitoring/README.md shows them."""

from __future__ import annotations

import contextlib
import re

import pytest
import yaml

from kronos_mixin.connect import Connection, Connections
from kronos_mixin.contract import load_contract, mixin_path
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.check import State, outcomes
from kronos_mixin.verify.checks import CHECKS
from kronos_mixin.verify.stack import Stack
from proof.servers import binaries
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service

README = (mixin_path().parent / "monitoring" / "README.md").read_text()
INSTANCES = 12
KNOBS = {
    "rateWindow": "15s",
    "evaluationInterval": "1s",
    "slowEvaluationInterval": "1s",
    "scrape": {"interval": "1s", "timeout": "1s"},
    "requests": {"sparseWindow": "30s"},
    "alerts": {"KronosServiceDown": {"for": "0s", "window": "10s"}, "KronosTargetMissing": {"for": "0s"}},
}


def shard(number: str, targets: list[str], ruler: str) -> dict:
    """The example, for a shard and targets of ours."""
    (example,) = re.findall(r"```yaml\n(# On shard 0 of 2.*?)```", README, re.DOTALL)
    config = yaml.safe_load(example)
    config["global"] |= {"external_labels": {"shard": number}, "scrape_interval": "1s", "scrape_timeout": "1s"}
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": targets}]
    job["relabel_configs"][-1]["regex"] = number
    (remote,) = config["remote_write"]
    remote["url"] = remote["url"].replace("http://ruler:9090", ruler)
    return config


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The service, the shards and the ruler. One process is twelve instances, each under an address of its own."""
    folder = tmp_path_factory.mktemp("shards")
    tools = binaries.newest()
    with contextlib.ExitStack() as running:
        service = running.enter_context(Service({"drain_seconds": 0, "host": "0.0.0.0"}))
        targets = [f"127.0.0.{number}:{service.port}" for number in range(1, INSTANCES + 1)]
        compile_into(folder, KNOBS, [])
        receive = ["--web.enable-remote-write-receiver"]
        ruler = running.enter_context(Prometheus(tools, folder / "prometheus.yml", flags=receive))
        compile_into(folder / "shard", KNOBS | {"shard": True})
        alerts = {"rule_files": [str(folder / "shard" / "prometheus" / "kronos-alerts.yml")]}
        shards = [
            running.enter_context(Prometheus(tools, shard(number, targets, ruler.url) | alerts))
            for number in ("0", "1")
        ]
        ruler.wait_for("count(up == 1)", lambda found: bool(found) and found[0].value == INSTANCES, timeout=60)
        yield service, shards, ruler


def test_each_shard_has_a_part_of_the_targets(fleet):
    _, shards, _ = fleet
    parts = [{sample.labels["instance"] for sample in shard.query("up")} for shard in shards]
    assert all(parts)
    assert parts[0].isdisjoint(parts[1])
    assert len(parts[0] | parts[1]) == INSTANCES


def test_the_ruler_sees_one_installation(fleet):
    _, _, ruler = fleet
    ruler.wait_for("job_route_status:kronos_requests:rate15s", timeout=60)
    recorded = ruler.query('{__name__=~"job.*:kronos_.*"}')
    assert recorded
    assert [sample.labels for sample in recorded if "shard" in sample.labels] == []
    # The queues of all instances, wherever they are scraped.
    total = ruler.wait_for("sum(kronos_queue_capacity) / max(kronos_queue_capacity)", timeout=60)
    assert [sample.value for sample in total] == [INSTANCES]
    assert ruler.query('ALERTS{alertstate="firing"}') == []


def test_a_shard_is_well_with_the_rules_for_a_shard_alone(fleet):
    _, (one, _), _ = fleet
    one.wait_for("count(up == 1)", timeout=60)

    def verified(knobs, chosen=None):
        mixin = evaluate(mixin_path(), {"kronos": knobs})
        with Stack(Connections(prometheus=Connection.to(one.url)), mixin, load_contract()) as stack:
            return {found.check.name: found for found in outcomes(CHECKS, stack, chosen)}

    (finding,) = verified(KNOBS, {"targets-whole"})["targets-whole"].findings
    assert "the scrape job kronos-api keeps 1 of 2 parts of its targets" in finding.wrong
    found = verified(KNOBS | {"shard": True})
    assert [found[name].state for name in ("groups-once", "rules-equal", "rules-healthy")] == [State.ok] * 3
    assert {name for name, outcome in found.items() if "these rules" in outcome.reason} == {
        "targets-whole",
        "recorded-series",
        "recorded-once",
        "retention",
    }


def test_an_outage_is_one_alert(fleet):
    service, _, ruler = fleet
    service.stop()
    fired = ruler.wait_for('ALERTS{alertstate="firing", alertname="KronosServiceDown"}', timeout=60)
    (labels,) = (sample.labels for sample in fired)
    assert labels["job"] == "kronos-api"
    assert "shard" not in labels
