"""The service's manifests: built by kustomize, held against Kubernetes's schemas and the operators' types."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

from kronos_mixin.compile import render, write
from kronos_mixin.contract import mixin_path
from kronos_mixin.formats.converted import Place
from kronos_mixin.jsonnet import evaluate
from kronos_service.settings import Settings
from proof.servers import kustomize
from tests.service.server import ROOT
from tests.tool.test_kubernetes import unknown

OPERATORS = {"PodMonitor": PodMonitor, "ScaledObject": ScaledObject}
OLDEST, NEWEST = 28, int(kubernetes_validate.latest_version().split(".")[1])
CHOICES = [
    [name for name in (monitor, port, scaler) if name]
    for monitor, port, scaler in product(["podmonitor", ""], ["metrics-port", ""], ["keda", "hpa", ""])
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    write(render(evaluate(mixin_path()), ["kubernetes"], Place({"release": "prometheus"})), folder)
    return folder / "kubernetes"


@pytest.fixture(scope="module")
def build(compiled: Path, tmp_path_factory: pytest.TempPathFactory):
    def built(*components: str) -> dict[str, dict[str, Any]]:
        folder = tmp_path_factory.mktemp("overlay")
        objects = kustomize.overlay(
            folder, compiled / "base", [compiled / "components" / name for name in components]
        )
        return {data["kind"]: data for data in objects}

    return built


@pytest.mark.parametrize("components", CHOICES, ids="+".join)
def test_every_choice_of_components_is_valid(build, components: list[str]):
    objects = build(*components)
    assert {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy"} <= objects.keys()
    for kind, data in objects.items():
        if model := OPERATORS.get(kind):
            model.model_validate(data)
            assert unknown(data, model) == []
            continue
        for version in range(OLDEST, NEWEST + 1):
            kubernetes_validate.validate(data, f"1.{version}", strict=True)


def test_a_misspelt_key_is_found(build):
    deployment = build()["Deployment"]
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(deployment, f"1.{OLDEST}", strict=True)


def test_the_pod_fits_the_service(build):
    pod = build("metrics-port")["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    defaults = Settings()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": defaults.port, "metrics": 9000}
    assert all(port["protocol"] == "TCP" for port in container["ports"])
    for variable in container["env"]:
        assert variable["name"].removeprefix("KRONOS_").lower() in Settings.model_fields
    assert container["env"] == [{"name": "KRONOS_METRICS_PORT", "value": str(ports["metrics"])}]
    assert pod["terminationGracePeriodSeconds"] > defaults.drain_seconds + defaults.shutdown_seconds
    # A call of the model that takes long must not look like a process that is stuck.
    liveness = container["livenessProbe"]
    assert liveness["failureThreshold"] * liveness["periodSeconds"] >= 60
    assert liveness["failureThreshold"] > 1
    # Whoever has no model yet, or is leaving, gets no requests, and is not restarted for it.
    paths = {probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/v1/healthz", "liveness": "/v1/healthz", "readiness": "/v1/readyz"}
    assert {container[f"{probe}Probe"]["httpGet"]["port"] for probe in paths} == {"http"}
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "service/Dockerfile").read_text(), re.MULTILINE)
    assert user
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert security["fsGroup"] == int(user[2])
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in pod["volumes"]} == mounts == {"cache", "tmp"}


def test_selectors_match(build):
    objects = build("podmonitor", "hpa")
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        objects["PodMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    scaled = objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", objects["Deployment"]["metadata"]["name"])
    assert objects["PodMonitor"]["metadata"]["labels"]["release"] == "prometheus"


@pytest.mark.parametrize(("components", "port"), [([], "http"), (["metrics-port"], "metrics")])
def test_prometheus_scrapes_the_port_with_metrics(build, components: list[str], port: str):
    objects = build("podmonitor", *components)
    (endpoint,) = objects["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == port
    allowed = [one["port"] for rule in objects["NetworkPolicy"]["spec"]["ingress"] for one in rule["ports"]]
    assert port in allowed


def test_callers_reach_the_port_of_the_service(build):
    objects = build()
    (container,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    (own,) = container["ports"]
    (port,) = objects["Service"]["spec"]["ports"]
    assert (port["targetPort"], port["port"]) == (own["name"], own["containerPort"])
    (ingress,) = objects["NetworkPolicy"]["spec"]["ingress"]
    assert [one["port"] for one in ingress["ports"]] == [own["name"]]


def test_the_operator_scrapes_as_the_job_does(build):
    knobs = {"scrape": {"discovery": {"kubernetes": {"enabled": True}}}}
    (job,) = evaluate(mixin_path(), {"kronos": knobs}).scrape_configs
    (endpoint,) = build("podmonitor")["PodMonitor"]["spec"]["podMetricsEndpoints"]
    named = {"path": "metrics_path", "honorLabels": "honor_labels", "interval": "scrape_interval"}
    named["scrapeTimeout"] = "scrape_timeout"
    assert {field: endpoint[field] for field in named} == {field: job[key] for field, key in named.items()}
    assert {"targetLabel": "job", "replacement": job["job_name"]} in endpoint["relabelings"]
    (dropped,) = (one for one in job["relabel_configs"] if one.get("action") == "drop")
    assert {"sourceLabels": dropped["source_labels"], "regex": dropped["regex"], "action": "drop"} in (
        endpoint["relabelings"]
    )


def test_what_is_scaled_on_is_recorded(build):
    records = [rule["record"] for group in evaluate(mixin_path()).rules for rule in group["rules"]]
    queries = [trigger["metadata"]["query"] for trigger in build("keda")["ScaledObject"]["spec"]["triggers"]]
    named = [name for query in queries for name in re.findall(r"[a-z_]+:[a-z_]+:[a-z0-9]+", query)]
    assert len(named) == 3
    assert [name for name in named if name not in records] == []
