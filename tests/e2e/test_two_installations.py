"""Two compilations in one Prometheus: each reads, records and pages for its own job alone."""

from __future__ import annotations

import contextlib

import httpx
import pytest
import yaml

from kronos_mixin.contract import load_contract
from kronos_mixin.drill.measures import SINGLE
from proof.servers import binaries
from proof.servers.central import compile_into
from proof.servers.prometheus import Prometheus
from proof.servers.service import Service

JOBS = {"strict": "0.001", "patient": "1000"}
"""Refused requests per second that each of the two teams puts up with."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Each Prometheus, with the rules of both teams, after both services refused requests."""
    with contextlib.ExitStack() as running:
        folder = tmp_path_factory.mktemp("teams")
        services = {job: running.enter_context(Service({"drain_seconds": 0, "rate_limit": "1/hour"})) for job in JOBS}
        for job, threshold in JOBS.items():
            knobs = {
                "job": job,
                "rateWindow": "15s",
                "evaluationInterval": "1s",
                "slowEvaluationInterval": "1s",
                "scrape": {"targets": [f"127.0.0.1:{services[job].port}"], "interval": "1s", "timeout": "1s"},
                "requests": {"sparseWindow": "30s"},
                "alerts": {"KronosExcessiveRateLimiting": {"threshold": threshold, "for": "0s"}},
            }
            compile_into(folder / job, knobs)
        config = {
            "scrape_configs": [
                {
                    "job_name": job,
                    "metrics_path": load_contract().metrics_path,
                    "scrape_interval": "1s",
                    "scrape_timeout": "1s",
                    "static_configs": [{"targets": [f"127.0.0.1:{service.port}"]}],
                }
                for job, service in services.items()
            ],
            "rule_files": [str(folder / job / "prometheus" / "kronos-*.yml") for job in JOBS],
        }
        started = [running.enter_context(Prometheus(tools, config)) for tools in binaries.every()]
        for server in started:
            for job in JOBS:
                server.wait_for(f'job_client:kronos_rate_limited:rate15s{{job="{job}"}}', bool, timeout=60)
        for service in services.values():
            for _ in range(5):
                httpx.post(f"{service.url}{SINGLE}", json={}, trust_env=False, timeout=60)
        for server in started:
            server.wait_for("count(job_client:kronos_rate_limited:rate15s > 0) == 2", bool, timeout=60)
        yield started


def test_one_team_does_not_page_another(servers):
    for server in servers:
        server.wait_for('ALERTS{alertname="KronosExcessiveRateLimiting"}', bool, timeout=60)
        firing = server.query('ALERTS{alertname="KronosExcessiveRateLimiting"}')
        assert {sample.labels["job"] for sample in firing} == {"strict"}


def test_all_rules_are_healthy_and_groups_have_names_of_their_own(servers):
    for server in servers:
        groups = server.rules()
        assert len({group["name"] for group in groups}) == len(groups) > 2
        assert [rule["lastError"] for group in groups for rule in group["rules"] if rule["health"] != "ok"] == []


def test_neither_is_blind_for_the_other(servers):
    blind = 'ALERTS{alertname=~"Kronos(RulesMissing|LabelsTaken|MetricsMissing|TargetMissing)"}'
    for server in servers:
        server.wait_for(blind, lambda found: not found, timeout=60)


def test_rules_of_one_do_not_stand_in_for_those_of_the_other(servers):
    server = servers[-1]
    config = yaml.safe_load(server.config.read_text())
    # The alerts of one without the rules that they read.
    some = ("strict/prometheus/kronos-*", "strict/prometheus/kronos-alerts")
    rules = [name.replace(*some) for name in config["rule_files"]]
    server.reload({**config, "rule_files": rules})
    found = server.wait_for('ALERTS{alertname="KronosRulesMissing"}', bool, timeout=60)
    assert {sample.labels["job"] for sample in found} == {"strict"}
