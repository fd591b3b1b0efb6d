"""Scrape jobs as the Prometheus Operator's ScrapeConfig, held against its own types."""

from __future__ import annotations

import re

import pytest
from cloudcoil.models.prometheus_operator.v1alpha1 import ScrapeConfig

from kronos_mixin.contract import mixin_path
from kronos_mixin.formats import scrapeconfig
from kronos_mixin.formats.converted import Place
from kronos_mixin.jsonnet import evaluate
from tests.tool.models import unknown

EVERY_KNOB = {
    "kronos": {
        "scrape": {
            "scheme": "https",
            "labels": {"cluster": "berlin"},
            "targets": ["a:8000", "b:8000"],
            "tls": {"serverName": "forecasts.example.com"},
            "discovery": {
                "files": ["/etc/targets/*.json"],
                "urls": ["https://targets.example.com"],
                "dns": ["forecasts.example.com:8000"],
                "kubernetes": {"enabled": True, "namespaces": ["forecasts"]},
            },
        }
    }
}

NAMED = {"sourceLabels": ["job"], "regex": "scrapeConfig/.*", "targetLabel": "job"}
"""Gives the job its name, unless discovery did."""

FOREIGN = {
    "job_name": "node",
    "kubernetes_sd_configs": [
        {
            "role": "endpointslice",
            "namespaces": {"own_namespace": True},
            "selectors": [{"role": "pod", "label": "a=b"}],
        }
    ],
    "tls_config": {"insecure_skip_verify": True, "min_version": "TLS12"},
    "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}],
    "sample_limit": 1000,
    "params": {"collect[]": ["cpu"]},
}


def back(data):
    """An object's fields as Prometheus spells them."""
    if isinstance(data, list):
        return [back(item) for item in data]
    if not isinstance(data, dict):
        return data
    snake = {
        re.sub(r"([A-Z]+)", lambda match: "_" + match[1].lower(), key).replace("_sdconfigs", "_sd_configs"): value
        for key, value in data.items()
    }
    names = {"relabelings": "relabel_configs", "metric_relabelings": "metric_relabel_configs"}
    fields = {names.get(key, key): value for key, value in snake.items()}
    return {key: value if key in {"labels", "params"} else back(value) for key, value in fields.items()}


def lowered(job):
    """What differs in capitals alone."""
    if isinstance(job, dict):
        return {k: v.lower() if k in {"role", "scheme"} else lowered(v) for k, v in job.items()}
    return [lowered(item) for item in job] if isinstance(job, list) else job


OURS = [evaluate(mixin_path(), config).scrape_configs for config in ({}, EVERY_KNOB)]


@pytest.mark.parametrize("jobs", [*OURS, [FOREIGN]])
def test_nothing_but_the_spelling_differs(jobs):
    converted = scrapeconfig.convert(jobs, "kronos", Place({"release": "prometheus"}, "monitoring"))
    ((name, data),) = converted.files.items()
    (job,) = jobs
    assert name == f"{job['job_name']}.scrapeconfig.yml"
    assert data["metadata"]["namespace"] == "monitoring"
    assert data["metadata"]["labels"]["release"] == "prometheus"
    ScrapeConfig.model_validate(data)
    assert unknown(data, ScrapeConfig) == []
    spec = lowered(back(data["spec"]))
    named, *relabelling = spec.pop("relabel_configs")
    assert named == back(NAMED | {"replacement": job["job_name"]})
    if relabelling:
        spec["relabel_configs"] = relabelling
    assert spec == {key: value for key, value in lowered(job).items() if key != "job_name"}
    assert converted.lost == []


def test_what_needs_a_secret_is_told():
    job = {
        "job_name": "a",
        "authorization": {"credentials_file": "/run/token"},
        "tls_config": {"ca_file": "/run/ca", "server_name": "a"},
        "http_sd_configs": [{"url": "http://a", "basic_auth": {}}],
        "bearer_token_file": "x",
    }
    converted = scrapeconfig.convert([job], "a", Place())
    spec = converted.files["a.scrapeconfig.yml"]["spec"]
    assert spec == {
        "tlsConfig": {"serverName": "a"},
        "httpSDConfigs": [{"url": "http://a"}],
        "relabelings": [NAMED | {"replacement": "a"}],
    }
    secret = "has no counterpart in a ScrapeConfig: put it into a Secret, and name that in the object"
    assert converted.lost == [
        f"job a: authorization {secret}",
        f"job a: tls_config.ca_file {secret}",
        f"job a: http_sd_configs.basic_auth {secret}",
        f"job a: bearer_token_file {secret}",
    ]
