"""The scrape job that the knobs below `scrape` make is one that Prometheus takes."""

from __future__ import annotations

import pytest
import yaml

from kronos_mixin.contract import mixin_path
from kronos_mixin.jsonnet import CompileError, evaluate
from proof.servers import binaries, promtool


def job(**scrape):
    (found,) = evaluate(mixin_path(), {"kronos": {"scrape": scrape}}).scrape_configs
    return found


def check(tmp_path, found):
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [found]}))
    for tools in binaries.every():
        # Debian 12's own build knows no Kubernetes.
        if "kubernetes_sd_configs" not in found or tools.release > (2, 42, 9):
            promtool.check_config(tools, path, syntax_only=True)


def test_what_is_set_and_nothing_else(tmp_path):
    found = job(
        scheme="https",
        path="/metrics",
        interval="20s",
        timeout="7s",
        labels={"cluster": "berlin"},
        authorization={"credentialsFile": "/etc/prometheus/token"},
        tls={"caFile": "/etc/prometheus/ca.pem", "serverName": "forecasts"},
    )
    assert found["scheme"] == "https"
    assert found["metrics_path"] == "/metrics"
    assert (found["scrape_interval"], found["scrape_timeout"]) == ("20s", "7s")
    assert found["static_configs"] == [{"targets": ["127.0.0.1:8000"], "labels": {"cluster": "berlin"}}]
    assert found["authorization"] == {"type": "Bearer", "credentials_file": "/etc/prometheus/token"}
    assert found["tls_config"] == {"ca_file": "/etc/prometheus/ca.pem", "server_name": "forecasts"}
    check(tmp_path, found)
    plain = job()
    assert plain.keys() == {
        *("job_name", "metrics_path", "honor_labels", "scrape_interval", "scrape_timeout", "static_configs")
    }


def test_discovery(tmp_path):
    found = job(
        labels={"cluster": "berlin"},
        discovery={
            "files": ["targets/*.json"],
            "urls": ["http://registry.example.com/kronos"],
            "dns": ["forecasts.internal:8000"],
            "kubernetes": {"enabled": True, "namespaces": ["quant"]},
        },
    )
    assert "static_configs" not in found
    assert found["file_sd_configs"] == [{"files": ["targets/*.json"]}]
    assert found["http_sd_configs"] == [{"url": "http://registry.example.com/kronos", "refresh_interval": "15s"}]
    assert found["dns_sd_configs"] == [{"names": ["forecasts.internal"], "type": "A", "port": 8000}]
    assert found["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["quant"]}}]
    assert {"target_label": "cluster", "replacement": "berlin"} in found["relabel_configs"]
    assert {"source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed", "action": "drop"} in (
        found["relabel_configs"]
    )
    check(tmp_path, found)
    both = job(targets=["a:1"], discovery={"files": ["targets/*.json"]})
    assert both["static_configs"] == [{"targets": ["a:1"]}]
    check(tmp_path, both)


@pytest.mark.parametrize(
    ("scrape", "message"),
    [
        ({"scheme": "ftp"}, "must be one of http, https"),
        ({"discovery": {"urls": ["registry"]}}, "must be an address that begins with https://"),
        ({"discovery": {"dns": ["forecasts"]}}, "must be an address with a port"),
        ({"discovery": {"files": [""]}}, "must be text, not empty"),
    ],
)
def test_what_is_refused(scrape, message):
    with pytest.raises(CompileError, match=message):
        job(**scrape)
