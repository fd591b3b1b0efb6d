"""Behind Ray Serve, requests that its proxy lost or holds back are noticed; those that the service counts are not."""

from __future__ import annotations

import pytest
import yaml

from kronos_mixin.compile import render
from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import promtool

ALERTS = {"KronosRayRequestsLost", "KronosRayQueue"}
MIXIN = evaluate(mixin_path(), {"kronos": {"alerts": {name: {"enabled": True} for name in ALERTS}}})
PROXY = 'ray_serve_num_http_requests_total{{job="ray", application="{}", status_code="{}", cluster="{}"}}'
QUEUE = 'ray_serve_deployment_queued_queries{{job="ray", application="kronos", handle="{}", cluster="{}"}}'
OWN = 'kronos_requests_total{{job="kronos-api", instance="i", route="r", status="error", cluster="{}"}}'
FINE = OWN.replace("error", "success")


def answered(cluster: str, failed: str, application: str = "kronos") -> dict[str, str]:
    """A proxy of which nothing is known before its first request, nor of its failures before the first of those."""
    return {
        PROXY.format(application, 200, cluster): "_x10 5+5x80",
        PROXY.format(application, 500, cluster): failed,
    }


SERIES = {
    **answered("lost three", "_x20 3x70"),
    FINE.format("lost three"): "0+5x90",
    **answered("lost two", "_x20 2x70"),
    **answered("lost three more", "1x20 4x70"),
    **answered("of another application", "_x20 9x70", application="chat"),
    **answered("counted by the service", "_x20 9x70"),
    OWN.format("counted by the service"): "0x19 9x70",
    **answered("counted in part", "_x20 9x70"),
    OWN.format("counted in part"): "0x19 5x70",
    **answered("restarted", "20x20 1x70"),
    **answered("seen for the first time", "_x20 9x70"),
    PROXY.format("kronos", 200, "seen for the first time"): "_x20 500x70",
    QUEUE.format("a", "waiting"): "0x20 1x20 0x50",
    QUEUE.format("b", "waiting"): "0x20 1x5 0x65",
    QUEUE.format("a", "for a moment"): "0x20 8x3 0x70",
}
LOST = ("counted in part", "lost three", "lost three more")


def firing(alert: str, minute: int, *clusters: str) -> dict[str, object]:
    return {
        "eval_time": f"{minute}m",
        "expr": f'count by (alertname, job, cluster) (ALERTS{{alertname="{alert}", alertstate="firing"}})',
        "exp_samples": [
            {"labels": f'{{alertname="{alert}", job="kronos-api", cluster="{cluster}"}}', "value": 1}
            for cluster in clusters
        ],
    }


def test_requests_lost_and_held_back(tools, tmp_path):
    files = render(MIXIN)
    (tmp_path / "alerts.yml").write_text(files["prometheus/kronos-alerts.yml"])
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
        "promql_expr_test": [
            firing("KronosRayRequestsLost", 18),
            firing("KronosRayRequestsLost", 22, *LOST),
            firing("KronosRayRequestsLost", 32),
            firing("KronosRayQueue", 23),
            firing("KronosRayQueue", 28, "waiting"),
            firing("KronosRayQueue", 42),
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "30s", "tests": [test]}))
    promtool.test_rules(tools, path)


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_they_are_off_by_default(alert):
    assert alert not in str(evaluate(mixin_path()).alerts)
    assert alert in str(MIXIN.alerts)
