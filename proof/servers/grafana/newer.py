"""Dashboards in `/apis`, as objects of the kind that Kubernetes has."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from proof.servers.grafana.store import Endpoint, Kept, Refusal, Store

GROUP = "dashboard.grafana.app"
NAMESPACE = "default"
SCHEMA = 42
"""The `schemaVersion` that dashboards are brought to on their way out."""

_MANAGER = {"grafana.app/managedBy": "classic-file-provisioning", "grafana.app/managerId": "kronos"}


def _group(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in store.apis]
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": GROUP,
        "versions": versions,
        "preferredVersion": versions[-1],
    }


def _all(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    version = version_of(store, request)
    return {
        "kind": "DashboardList",
        "apiVersion": f"{GROUP}/{version}",
        "metadata": {"resourceVersion": "1"},
        "items": [as_object(kept, version) for kept in store.dashboards.values()],
    }


def _one(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    version, uid = version_of(store, request), request.path_params["uid"]
    if uid not in store.dashboards:
        raise failure(404, "NotFound", f'dashboards.{GROUP} "{uid}" not found')
    return as_object(store.dashboards[uid], version)


def version_of(store: Store, request: Request) -> str:
    """The version that is asked for, if there is that, and the namespace."""
    version: str = request.path_params["version"]
    if version not in store.apis:
        raise failure(404, "NotFound", "the server could not find the requested resource")
    if request.path_params["namespace"] != NAMESPACE:
        raise failure(403, "Forbidden", "dashboards is forbidden: invalid namespace")
    return version


def failure(code: int, reason: str, message: str) -> Refusal:
    """A refusal in the words of Kubernetes."""
    return Refusal(code, message, kind="Status", apiVersion="v1", status="Failure", reason=reason, code=code)


def as_object(kept: Kept, version: str) -> dict[str, Any]:
    """A dashboard as an object of a version of the group."""
    notes = {"grafana.app/createdBy": f"user:{kept.by}", "grafana.app/updatedBy": f"user:{kept.by}"}
    if kept.message:
        notes["grafana.app/message"] = kept.message
    if kept.folder_uid:
        notes["grafana.app/folder"] = kept.folder_uid
    if kept.file:
        notes |= {**_MANAGER, "grafana.app/sourcePath": kept.file}
    spec = {key: value for key, value in kept.spec.items() if key not in {"id", "uid", "version"}}
    conversion = {"conversion": {"failed": False, "storedVersion": kept.schema}} if kept.schema != version else {}
    return {
        "kind": "Dashboard",
        "apiVersion": f"{GROUP}/{version}",
        "metadata": {
            "name": kept.spec["uid"],
            "namespace": NAMESPACE,
            "uid": f"00000000-0000-0000-0000-{kept.id:012}",
            "resourceVersion": str(kept.version),
            "generation": kept.version,
            "creationTimestamp": kept.date,
            "labels": {"grafana.app/deprecatedInternalID": str(kept.id)},
            "annotations": notes,
        },
        "spec": {**spec, "schemaVersion": max(spec.get("schemaVersion", 0), SCHEMA)},
        "status": conversion,
    }


_DASHBOARDS = f"/apis/{GROUP}/{{version}}/namespaces/{{namespace}}/dashboards"
ENDPOINTS = (
    Endpoint("GET", f"/apis/{GROUP}", _group),
    Endpoint("GET", _DASHBOARDS, _all, "dashboards:read"),
    Endpoint("GET", f"{_DASHBOARDS}/{{uid}}", _one, "dashboards:read"),
)
