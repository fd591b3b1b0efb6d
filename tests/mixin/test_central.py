"""At a centre, an installation that stops sending is noticed; one that says that it has lost its targets is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kronos_mixin.compile import render
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import promtool
from proof.servers.binaries import Tools

FILES = render(evaluate(mixin_path()))
LABELS = 'cluster="{}", job="kronos-api"'


def sent(name: str, labels: str, values: str) -> dict[str, str]:
    return {"series": f"{name}{{{labels}}}", "values": values}


def run(tools: Tools, folder: Path, kind: str, test: dict[str, object]) -> None:
    (folder / "rules.yml").write_text(FILES[kind])
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "30s", "tests": [test]}))
    promtool.test_rules(tools, path)


def firing(minute: int, *clusters: str) -> dict[str, object]:
    return {
        "eval_time": f"{minute}m",
        "expr": 'count by (cluster) (ALERTS{alertname="KronosClusterSilent", alertstate="firing"})',
        "exp_samples": [{"labels": f'{{cluster="{cluster}"}}', "value": 1} for cluster in clusters],
    }


@pytest.mark.parametrize("long", [False, True], ids=["an hour", "two days"])
def test_one_of_three_installations_goes_silent(tools, tmp_path, long):
    """Berlin sends on, Paris stops, and Rome says that it has lost its targets."""
    targets = "job:kronos_targets:count"
    lost = 'alertname="KronosTargetMissing", alertstate="{}", severity="critical", ' + LABELS.format("rome")
    hours = 48 if long else 2
    test = {
        "interval": "1m",
        "input_series": [
            sent(targets, LABELS.format("berlin"), f"3x{hours * 60}"),
            sent(targets, LABELS.format("paris"), "3x60"),
            sent(targets, LABELS.format("rome"), "3x60"),
            sent("ALERTS", lost.format("pending"), "_x61 1x10"),
            sent("ALERTS", lost.format("firing"), f"_x72 1x{hours * 60 - 72}"),
        ],
        "promql_expr_test": [
            firing(59),
            # The last sample is seen for five minutes.
            firing(69),
            firing(72, "paris"),
            firing(110, "paris"),
            *([firing(60 + 23 * 60, "paris"), firing(66 + 24 * 60)] if long else []),
        ],
    }
    run(tools, tmp_path, "central/kronos-central-alerts.yml", test)


def test_texts_name_the_cluster_that_only_the_server_knows(tools, tmp_path):
    up = 'instance="i{}", job="kronos-api"'
    where = "in cluster paris"
    test = {
        "interval": "15s",
        "external_labels": {"cluster": "paris"},
        "input_series": [sent("up", up.format(n), "1x20 0x80") for n in range(2)],
        "alert_rule_test": [
            {
                "eval_time": "12m",
                "alertname": "KronosServiceDown",
                "exp_alerts": [
                    {
                        "exp_labels": {"job": "kronos-api", "severity": "critical"},
                        "exp_annotations": {
                            "summary": "Kronos is down.",
                            "description": f"Prometheus could reach only 0% of the targets of job kronos-api {where} "
                            "over the last 5m.",
                            "runbook_url": "https://runbooks.example.com/kronos/KronosServiceDown.md",
                            "dashboard_url": "https://grafana.example.com/d/kronos-overview"
                            "?var-job=kronos-api&var-cluster=paris",
                        },
                    }
                ],
            }
        ],
    }
    run(tools, tmp_path, "prometheus/kronos-alerts.yml", test)
