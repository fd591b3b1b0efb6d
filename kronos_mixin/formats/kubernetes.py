"""The same rules and dashboards as objects of Kubernetes, for the Prometheus Operator and Grafana's sidecar."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from kronos_mixin.yamltext import to_json

OPERATOR = "monitoring.coreos.com/v1"
"""What the Prometheus Operator reads."""

SIDECAR_LABEL = "grafana_dashboard"
"""What Grafana's sidecar looks for, as the Helm charts set it up."""

# What the operator's PrometheusRule knows. It drops or refuses everything else.
_GROUP = ("name", "interval", "limit", "query_offset", "partial_response_strategy", "labels", "rules")
_RULE = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")


def prometheus_rule(
    name: str, groups: list[dict[str, Any]], labels: Mapping[str, str], namespace: str | None
) -> dict[str, Any]:
    """A PrometheusRule with the groups."""
    return {
        "apiVersion": OPERATOR,
        "kind": "PrometheusRule",
        "metadata": metadata(name, labels, namespace),
        "spec": {"groups": [_group(group) for group in groups]},
    }


def config_map(
    name: str,
    stem: str,
    dashboard: Mapping[str, Any],
    labels: Mapping[str, str],
    namespace: str | None,
    folder: str = "",
) -> dict[str, Any]:
    """A ConfigMap that Grafana's sidecar turns into the file ``stem`` with the dashboard, in Grafana's ``folder``."""
    described = metadata(name, {SIDECAR_LABEL: "1", **labels}, namespace)
    # Other characters are not allowed in a key.
    file = f"{stem if re.fullmatch(r'[-._a-zA-Z0-9]+', stem) else name}.json"
    if folder:
        # Read where the sidecar is told to (folderAnnotation: grafana_folder); harmless elsewhere.
        described["annotations"] = {"grafana_folder": folder}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": described, "data": {file: to_json(dashboard)}}


def selectable(data: dict[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """A manifest, with the labels if it is for the operator, which may select its objects by them."""
    if data.get("apiVersion") != OPERATOR:
        return data
    metadata = data["metadata"]
    return {**data, "metadata": {**metadata, "labels": {**metadata["labels"], **labels}}}


def object_names(texts: Collection[str]) -> dict[str, str]:
    """A name for each of several objects: where what Kubernetes takes of two is the same, with a hash."""
    plain = {text: object_name(text) for text in texts}
    taken = Counter(plain.values())
    return {
        text: name if taken[name] == 1 else f"{name[:244]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        for text, name in plain.items()
    }


def object_name(text: str) -> str:
    """``text`` as Kubernetes takes it for a name: small letters, digits, `-` and `.`."""
    return re.sub(r"[^a-z0-9]+$|^[^a-z0-9]+", "", re.sub(r"[^a-z0-9.-]+", "-", text.lower()))[:253] or "mixin"


def metadata(name: str, labels: Mapping[str, str], namespace: str | None) -> dict[str, Any]:
    """The metadata of an object that this program writes."""
    named = {"namespace": namespace} if namespace else {}
    return {"name": object_name(name), **named, "labels": {"app.kubernetes.io/managed-by": "kronos-mixin", **labels}}


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: group[key] for key in _GROUP if key in group}
    # The operator has no numbers here: an expression is text, a duration and a label's value too.
    return {**known, "rules": [{key: rule[key] for key in _RULE if key in rule} for rule in group.get("rules", [])]}
