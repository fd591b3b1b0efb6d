"""Objectives as OpenSLO v1, for tools that keep account of error budgets themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kronos_mixin.formats.converted import Converted
from kronos_mixin.formats.kubernetes import object_name

API_VERSION = "openslo/v1"
_LONGEST_NAME, _LONGEST_DESCRIPTION = 63, 1050


def convert(objectives: list[dict[str, Any]], name: str) -> Converted:
    """A Service called ``name``, and an SLO for each objective, as ratios of rates that Prometheus has recorded."""
    converted = Converted()
    if objectives:
        service = object_name(name)[:_LONGEST_NAME]
        converted.files[f"{service}.service.yml"] = _object("Service", service, name, {"description": f"{name}."})
        for objective in objectives:
            data = _slo(objective, service)
            converted.files[f"{data['metadata']['name']}.slo.yml"] = data
    return converted


def _slo(objective: Mapping[str, Any], service: str) -> dict[str, Any]:
    name = object_name(objective["name"])[:_LONGEST_NAME]
    ratio = {"counter": False, "bad": _metric(objective["bad"]), "total": _metric(objective["valid"])}
    spec = {
        "description": objective["description"][:_LONGEST_DESCRIPTION],
        "service": service,
        "indicator": {"metadata": {"name": name}, "spec": {"ratioMetric": ratio}},
        "timeWindow": [{"duration": objective["window"], "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"displayName": objective["title"], "target": float(objective["target"])}],
    }
    return _object("SLO", name, objective["title"], spec)


def _object(kind: str, name: str, title: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "displayName": title}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _metric(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}
