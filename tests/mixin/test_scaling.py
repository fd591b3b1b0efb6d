"""When KEDA and the autoscaler add instances: from the numbers of real rules, for both in the same moment."""

from __future__ import annotations

import json

import pytest

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import evaluate
from proof.servers import binaries, promtool

MANIFESTS = evaluate(mixin_path()).manifests
TRIGGERS = {one["name"]: one["metadata"] for one in MANIFESTS["components/keda/scaledobject.yml"]["spec"]["triggers"]}


def queue(instance: str, depth: int) -> dict[str, str]:
    """The queue of an instance, which holds a hundred."""
    return {
        f'kronos_queue_depth{{job="kronos-api", instance="{instance}"}}': f"{depth}x40",
        f'kronos_queue_capacity{{job="kronos-api", instance="{instance}"}}': "100x40",
    }


def waits(quick: int, slow: int) -> dict[str, str]:
    """In two clusters so many series a minute wait no longer than a second, in one so many three to four."""
    series = {}
    for cluster, late in (("a", slow), ("b", 0)):
        per_minute = {"1.0": quick, "2.5": quick, "5.0": quick + late, "+Inf": quick + late}
        for le, count in per_minute.items():
            labels = f'job="kronos-api", instance="a", cluster="{cluster}", le="{le}"'
            series[f"kronos_queue_wait_seconds_bucket{{{labels}}}"] = f"0+{count}x40"
    return series


@pytest.mark.parametrize(
    ("name", "series", "scales"),
    [
        # The fullest queue counts, not all of them together.
        ("queue-utilisation", queue("a", 26) | queue("b", 0), True),
        ("queue-utilisation", queue("a", 24) | queue("b", 24), False),
        # One in ten waits for long.
        ("queue-wait", waits(44, 11), True),
        ("queue-wait", waits(44, 9), False),
        ("queue-wait", waits(0, 0), None),
    ],
)
def test_when_instances_are_added(compiled, tmp_path, name, series, scales):
    """None: there is nothing to decide on, and no NaN, which KEDA would take for a number."""
    trigger = TRIGGERS[name]
    samples = [] if scales is None else [{"labels": "{}", "value": int(scales)}]
    test = {
        "interval": "1m",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"({trigger['query']}) > bool {trigger['threshold']}",
                "eval_time": "30m",
                "exp_samples": samples,
            }
        ],
    }
    path = tmp_path / "scaling.yml"
    path.write_text(json.dumps({"rule_files": [compiled.rules], "evaluation_interval": "30s", "tests": [test]}))
    promtool.test_rules(binaries.newest(), path)


def test_the_autoscaler_asks_the_same():
    scaled = MANIFESTS["components/keda/scaledobject.yml"]["spec"]
    autoscaler = MANIFESTS["components/hpa/horizontalpodautoscaler.yml"]["spec"]
    served = MANIFESTS["components/hpa/prometheus-adapter-values.yml"]["rules"]["external"]
    queries = {rule["name"]["as"]: rule["metricsQuery"] for rule in served}
    asked = {
        one["external"]["metric"]["name"].removeprefix("kronos-"): {
            "query": queries[one["external"]["metric"]["name"]],
            "threshold": one["external"]["target"]["value"],
        }
        for one in autoscaler["metrics"]
    }
    assert asked == {name: {key: one[key] for key in ("query", "threshold")} for name, one in TRIGGERS.items()}
    assert {one["external"]["target"]["type"] for one in autoscaler["metrics"]} == {"Value"}
    assert {one["metricType"] for one in scaled["triggers"]} == {"Value"}
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (
        autoscaler["minReplicas"],
        autoscaler["maxReplicas"],
    )
    assert scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == autoscaler["behavior"]


def test_scaling_is_quick_up_and_slow_down():
    """More than one instance always; down one at a time, once nobody has waited for longer than a rate looks back."""
    autoscaler = MANIFESTS["components/hpa/horizontalpodautoscaler.yml"]["spec"]
    assert 1 < autoscaler["minReplicas"] < autoscaler["maxReplicas"]
    up, down = (autoscaler["behavior"][way] for way in ("scaleUp", "scaleDown"))
    assert up["stabilizationWindowSeconds"] == 0
    assert down["stabilizationWindowSeconds"] > 5 * 60
    assert up["policies"] == [{"type": "Percent", "value": 100, "periodSeconds": 60}]
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]
