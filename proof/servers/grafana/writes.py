"""What changes dashboards and folders, in both generations of the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from proof.servers.grafana.newer import GROUP, NAMESPACE, as_object, failure, version_of
from proof.servers.grafana.store import Endpoint, Kept, Refusal, Store, read

_FOLDERS = "folder.grafana.app"


def _save(store: Store, request: Request, body: bytes) -> Any:
    asked = read(body)
    spec, folder_uid = asked["dashboard"], asked.get("folderUid") or ""
    if not spec.get("title"):
        raise Refusal(400, "Dashboard title cannot be empty", status="empty-name")
    if folder_uid and folder_uid not in store.folders:
        raise Refusal(400, "folder not found")
    before = store.dashboards.get(spec.get("uid") or "")
    if before and before.file:
        raise Refusal(400, "Cannot save provisioned dashboard")
    if not asked.get("overwrite"):
        if before and before.version != spec.get("version"):
            raise Refusal(412, "The dashboard has been changed by someone else", status="version-mismatch")
        if _has_name(store, spec, folder_uid) and int(store.version.partition(".")[0]) < 11:
            raise Refusal(412, "A dashboard with the same name in the folder already exists", status="name-exists")
    kept = _keep(store, request, spec, folder_uid, asked.get("message", ""))
    return {
        "id": kept.id,
        "uid": kept.spec["uid"],
        "url": f"/d/{kept.spec['uid']}/{kept.slug}",
        "status": "success",
        "version": kept.version,
        "slug": kept.slug,
        "folderUid": folder_uid,
    }


def _has_name(store: Store, spec: Mapping[str, Any], folder_uid: str) -> bool:
    return any(
        (kept.spec["title"], kept.folder_uid) == (spec["title"], folder_uid) and uid != spec["uid"]
        for uid, kept in store.dashboards.items()
    )


def _versions(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    uid = request.path_params["uid"]
    if uid not in store.dashboards:
        raise Refusal(404, "Dashboard not found", status="not-found")
    kept = store.dashboards[uid]
    latest = {
        "id": kept.version,
        "dashboardId": kept.id,
        "uid": uid,
        "parentVersion": kept.version - 1,
        "restoredFrom": 0,
        "version": kept.version,
        "created": kept.date,
        "createdBy": kept.by,
        "message": kept.message,
    }
    return {"continueToken": "", "versions": [latest]} if int(store.version.partition(".")[0]) >= 11 else [latest]


def _delete(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    uid = request.path_params["uid"]
    if uid not in store.dashboards:
        raise Refusal(404, "Dashboard not found", status="not-found")
    if store.dashboards[uid].file:
        raise Refusal(400, "provisioned dashboard cannot be deleted")
    title = store.dashboards.pop(uid).spec["title"]
    return {"title": title, "message": f"Dashboard {title} deleted", "uid": uid}


def _make_folder(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    title = read(body)["title"]
    if title in store.folders.values() and int(store.version.partition(".")[0]) < 11:
        raise Refusal(409, "a folder with the same name already exists in the current location")
    uid = store.add_folder(title)
    return {"id": 1, "uid": uid, "title": title, "url": f"/dashboards/f/{uid}", "version": 1}


def _create_object(store: Store, request: Request, body: bytes) -> Any:
    version, asked = version_of(store, request), read(body)
    uid = asked["metadata"]["name"]
    if uid in store.dashboards:
        raise failure(409, "AlreadyExists", f'dashboards.{GROUP} "{uid}" already exists')
    return JSONResponse(as_object(_keep_object(store, request, asked), version), 201)


def _replace_object(store: Store, request: Request, body: bytes) -> Any:
    version, asked = version_of(store, request), read(body)
    before = store.dashboards.get(request.path_params["uid"])
    if before is None:
        raise failure(404, "NotFound", f'dashboards.{GROUP} "{request.path_params["uid"]}" not found')
    if asked["metadata"].get("resourceVersion") != str(before.version):
        raise failure(
            409,
            "Conflict",
            f'Operation cannot be fulfilled on dashboards.{GROUP} "{before.spec["uid"]}": the object has been '
            "modified; please apply your changes to the latest version and try again",
        )
    return as_object(_keep_object(store, request, asked), version)


def _keep_object(store: Store, request: Request, asked: Mapping[str, Any]) -> Kept:
    metadata = asked["metadata"]
    notes = metadata.get("annotations") or {}
    return _keep(
        store,
        request,
        {**asked["spec"], "uid": metadata["name"]},
        notes.get("grafana.app/folder", ""),
        notes.get("grafana.app/message", ""),
    )


def _delete_object(store: Store, request: Request, body: bytes) -> Any:
    version_of(store, request)
    return {"kind": "Status", "status": "Success", "details": _delete(store, request, body)}


def _make_folder_object(store: Store, request: Request, body: bytes) -> Any:
    version, spec = version_of(store, request), read(body)["spec"]
    metadata = {"name": store.add_folder(spec["title"]), "namespace": NAMESPACE, "resourceVersion": "1"}
    return JSONResponse(
        {"kind": "Folder", "apiVersion": f"{_FOLDERS}/{version}", "metadata": metadata, "spec": spec}, 201
    )


def _keep(store: Store, request: Request, spec: Mapping[str, Any], folder_uid: str, message: str) -> Kept:
    by = store.tokens[request.headers["authorization"].partition(" ")[2]].lower()
    return store.keep(spec, store.folders.get(folder_uid, ""), message=message, by=by)


_FOLDER_OBJECTS = f"/apis/{_FOLDERS}/{{version}}/namespaces/{{namespace}}/folders"
_OBJECTS = f"/apis/{GROUP}/{{version}}/namespaces/{{namespace}}/dashboards"
ENDPOINTS = (
    Endpoint("POST", "/api/dashboards/db", _save, "dashboards:write"),
    Endpoint("GET", "/api/dashboards/uid/{uid}/versions", _versions, "dashboards:write"),
    Endpoint("DELETE", "/api/dashboards/uid/{uid}", _delete, "dashboards:write"),
    Endpoint("POST", "/api/folders", _make_folder, "folders:create"),
    Endpoint("POST", _OBJECTS, _create_object, "dashboards:write"),
    Endpoint("PUT", f"{_OBJECTS}/{{uid}}", _replace_object, "dashboards:write"),
    Endpoint("DELETE", f"{_OBJECTS}/{{uid}}", _delete_object, "dashboards:write"),
    Endpoint(
        "POST",
        f"/apis/{_FOLDERS}/{{version}}/namespaces/{{namespace}}/folders",
        _make_folder_object,
        "folders:create",
    ),
)
