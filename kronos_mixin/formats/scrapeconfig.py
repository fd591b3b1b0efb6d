"""Scrape jobs as ScrapeConfig objects, which the Prometheus Operator reads from 0.65 on.

Not as ServiceMonitor or PodMonitor: those select objects of Kubernetes by their labels, and a scrape job does not say
which. It has targets, or rules over labels whose names Prometheus has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kronos_mixin.formats.converted import Converted, Place, camel
from kronos_mixin.formats.kubernetes import metadata, object_name

API_VERSION = "monitoring.coreos.com/v1alpha1"

_PLAIN = {
    "honor_labels", "honor_timestamps", "track_timestamps_staleness", "metrics_path", "params",
    "scrape_interval", "scrape_timeout", "scrape_protocols", "enable_compression", "keep_dropped_targets",
    "proxy_url", "no_proxy",
    "sample_limit", "target_limit", "label_limit", "label_name_length_limit", "label_value_length_limit",
    "static_configs",
}  # fmt: skip
"""What differs in the spelling alone."""

_DISCOVERY = {
    "file_sd_configs": ("fileSDConfigs", {"files", "refresh_interval"}),
    "http_sd_configs": ("httpSDConfigs", {"url", "refresh_interval"}),
    "dns_sd_configs": ("dnsSDConfigs", {"names", "type", "port", "refresh_interval"}),
    "kubernetes_sd_configs": ("kubernetesSDConfigs", {"role", "namespaces", "selectors"}),
}
_RELABELLING = {"relabel_configs": "relabelings", "metric_relabel_configs": "metricRelabelings"}
_TLS = {"server_name", "insecure_skip_verify", "min_version", "max_version"}


def convert(jobs: list[dict[str, Any]], part_of: str, place: Place) -> Converted:
    """A ScrapeConfig for each job. Files with secrets are lost: the operator takes objects of Kubernetes for them."""
    converted = Converted()
    labels = {"app.kubernetes.io/part-of": object_name(part_of), **place.labels}
    for job in jobs:
        name = object_name(job["job_name"])
        data, lost = scrape_config(name, job, labels, place.namespace)
        converted.files[f"{name}.scrapeconfig.yml"] = data
        converted.lost.extend(lost)
    return converted


def scrape_config(
    name: str, job: Mapping[str, Any], labels: Mapping[str, str], namespace: str | None
) -> tuple[dict[str, Any], list[str]]:
    """The object ``name`` for a job, and what it could not carry."""
    spec: dict[str, Any] = {}
    lost: list[str] = []
    for key, value in job.items():
        spec |= _field(key, value, f"job {job['job_name']}: {key}", lost)
    # The operator names the job after the object, and discovery may give it a name of its own, which stays. Not every
    # operator knows jobName, which would replace that, too.
    named = {
        "sourceLabels": ["job"],
        "regex": "scrapeConfig/.*",
        "targetLabel": "job",
        "replacement": job["job_name"],
    }
    spec["relabelings"] = [named, *spec.get("relabelings", [])]
    data = {
        "apiVersion": API_VERSION,
        "kind": "ScrapeConfig",
        "metadata": metadata(name, labels, namespace),
        "spec": spec,
    }
    return data, lost


def _field(key: str, value: Any, where: str, lost: list[str]) -> dict[str, Any]:
    """A field of the job as one of the object."""
    match key:
        case "job_name":
            return {}
        case "scheme":
            return {"scheme": value.upper()}
        case "tls_config":
            known = _known(value, _TLS, where, lost)
            for bound in known.keys() & {"minVersion", "maxVersion"}:
                known[bound] = known[bound].replace("_", "")
            return {"tlsConfig": known} if known else {}
        case _ if key in _DISCOVERY:
            name, fields = _DISCOVERY[key]
            return {name: [_discovery(entry, fields, where, lost) for entry in value]}
        case _ if key in _RELABELLING:
            return {_RELABELLING[key]: [{camel(name): part for name, part in rule.items()} for rule in value]}
        case _ if key in _PLAIN:
            return {camel(key): value}
    lost.append(f"{where} has no counterpart in a ScrapeConfig{_secret(key)}")
    return {}


def _discovery(entry: Mapping[str, Any], fields: set[str], where: str, lost: list[str]) -> dict[str, Any]:
    known = _known(entry, fields, where, lost)
    if "role" in known:
        known["role"] = _role(known["role"])
    if "namespaces" in known:
        known["namespaces"] = {camel(name): part for name, part in known["namespaces"].items()}
    if "selectors" in known:
        known["selectors"] = [{**one, "role": _role(one["role"])} for one in known["selectors"]]
    return known


def _known(data: Mapping[str, Any], fields: set[str], where: str, lost: list[str]) -> dict[str, Any]:
    """The ``fields`` of some data, in Kubernetes' spelling."""
    unknown = sorted(data.keys() - fields)
    lost += [f"{where}.{key} has no counterpart in a ScrapeConfig{_secret(key)}" for key in unknown]
    return {camel(key): value for key, value in data.items() if key in fields}


def _role(name: str) -> str:
    return "EndpointSlice" if name == "endpointslice" else name.title()


def _secret(key: str) -> str:
    secret = key.endswith("_file") or key in {"authorization", "basic_auth", "oauth2", "tls_config"}
    return ": put it into a Secret, and name that in the object" if secret else ""
