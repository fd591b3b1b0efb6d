"""Dashboards, folders and the search of `/api`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from proof.servers.grafana.store import Endpoint, Kept, Refusal, Store, slug


def _org(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    return {"id": 1, "name": "Main Org.", "address": {}}


def _search(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    asked = request.query_params
    hits: list[dict[str, Any]] = []
    if asked.get("type") != "dash-db" and store.may(request, "folders:read"):
        hits += [
            _hit(1000, uid, title, f"/dashboards/f/{uid}", "dash-folder") for uid, title in store.folders.items()
        ]
    if asked.get("type") != "dash-folder" and store.may(request, "dashboards:read"):
        hits += [_hit_of(store, kept) for kept in store.dashboards.values()]
    uids, tags, text = asked.getlist("dashboardUIDs"), asked.getlist("tag"), asked.get("query", "").lower()
    found = [
        hit
        for hit in sorted(hits, key=lambda one: one["title"].lower())
        if text in hit["title"].lower() and set(tags) <= set(hit["tags"]) and (not uids or hit["uid"] in uids)
    ]
    limit, page = int(asked.get("limit", 1000)), int(asked.get("page", 1))
    return found[(page - 1) * limit : page * limit]


def _hit(number: int, uid: str, title: str, base: str, kind: str) -> dict[str, Any]:
    return {
        "id": number,
        "orgId": 1,
        "uid": uid,
        "title": title,
        "uri": f"db/{slug(title)}",
        "url": f"{base}/{slug(title)}",
        "slug": "",
        "type": kind,
        "tags": [],
        "isStarred": False,
        "sortMeta": 0,
        "isDeleted": False,
    }


def _hit_of(store: Store, kept: Kept) -> dict[str, Any]:
    uid = kept.spec["uid"]
    hit = {**_hit(kept.id, uid, kept.spec["title"], f"/d/{uid}", "dash-db"), "tags": kept.spec.get("tags", [])}
    if kept.folder_uid:
        hit |= {"folderId": 1, "folderUid": kept.folder_uid, "folderTitle": store.folders[kept.folder_uid]}
        hit["folderUrl"] = f"/dashboards/f/{kept.folder_uid}/{slug(hit['folderTitle'])}"
    return hit


def _dashboard(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    kept = store.dashboards.get(request.path_params["uid"])
    if kept is None:
        raise Refusal(404, "Dashboard not found", status="not-found")
    if kept.schema.startswith("v2"):
        other = f"/apis/dashboard.grafana.app/{kept.schema}/namespaces/default/dashboards/{kept.spec['uid']}"
        raise Refusal(406, f"dashboard api version not supported, use {other} instead", status="invalid-argument")
    may = store.may(request, "dashboards:write")
    meta = {
        "type": "db",
        "canSave": may,
        "canEdit": may,
        "canAdmin": may,
        "canStar": True,
        "canDelete": may,
        "slug": kept.slug,
        "url": f"/d/{kept.spec['uid']}/{kept.slug}",
        "expires": "0001-01-01T00:00:00Z",
        "created": kept.date,
        "updated": kept.date,
        "updatedBy": kept.by,
        "createdBy": kept.by,
        "version": kept.version,
        "hasAcl": False,
        "isFolder": False,
        "apiVersion": kept.schema,
        "folderId": 1 if kept.folder_uid else 0,
        "folderUid": kept.folder_uid,
        "folderTitle": store.folders.get(kept.folder_uid, "Dashboards"),
        "folderUrl": f"/dashboards/f/{kept.folder_uid}" if kept.folder_uid else "",
        "provisioned": bool(kept.file),
        "provisionedExternalId": kept.file,
    }
    return {"meta": meta, "dashboard": kept.spec}


def _folders(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    return [{"id": 1, "uid": uid, "title": title} for uid, title in store.folders.items()]


def _folder(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    uid = request.path_params["uid"]
    if uid not in store.folders:
        raise Refusal(404, "folder not found", status="not-found")
    return {"id": 1, "uid": uid, "title": store.folders[uid], "url": f"/dashboards/f/{uid}", "version": 1}


ENDPOINTS = (
    Endpoint("GET", "/api/org", _org),
    Endpoint("GET", "/api/search", _search),
    Endpoint("GET", "/api/dashboards/uid/{uid}", _dashboard, "dashboards:read"),
    Endpoint("GET", "/api/folders", _folders, "folders:read"),
    Endpoint("GET", "/api/folders/{uid}", _folder, "folders:read"),
)
