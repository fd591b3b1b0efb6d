"""Data sources: their list, their health, and queries through them to the real servers behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

from proof.servers.grafana.store import Endpoint, Refusal, Store, read


def _settings(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    default = next((one["name"] for one in store.data_sources.values() if one["isDefault"]), "-- Grafana --")
    shown = {
        one["name"]: {
            **{key: one[key] for key in ("id", "uid", "type", "name", "isDefault", "jsonData", "access", "readOnly")},
            "url": f"/api/datasources/proxy/uid/{one['uid']}",
            "meta": {"id": one["type"], "builtIn": False},
        }
        for one in store.data_sources.values()
        if store.may(request, "datasources:query")
    }
    own = {"uid": "grafana", "type": "datasource", "name": "-- Grafana --", "meta": {"builtIn": True}}
    return {
        "datasources": {**shown, "-- Grafana --": own},
        "defaultDatasource": default,
        "namespace": "default",
        "buildInfo": {"version": store.version},
    }


def _all(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    return list(store.data_sources.values())


def _one(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    return _source(store, request.path_params["uid"])


def _source(store: Store, uid: str) -> Mapping[str, Any]:
    if uid not in store.data_sources:
        raise Refusal(404, "Data source not found")
    return store.data_sources[uid]


def _health(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    source = _source(store, request.path_params["uid"])
    try:
        answer = store.upstream.get(f"{source['url']}/api/v1/query", params={"query": "1+1"})
    except httpx.HTTPError as error:
        raise Refusal(400, f'Post "{source["url"]}/api/v1/query": {error}', status="ERROR", details={}) from error
    if not answer.is_success:
        raise Refusal(400, f"{answer.status_code} {answer.reason_phrase}", status="ERROR", details={})
    return {"status": "OK", "message": "Successfully queried the Prometheus API.", "details": {}}


def _proxy(store: Store, request: Request, body: bytes) -> Any:
    source = _source(store, request.path_params["uid"])
    try:
        answer = store.upstream.request(
            request.method,
            f"{source['url']}/{request.path_params['path']}",
            params=str(request.query_params),
            content=body,
            headers={key: value for key, value in request.headers.items() if key in {"content-type", "accept"}},
        )
    except httpx.HTTPError as error:
        raise Refusal(502, f"Bad Gateway: {error}") from error
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))


def _query(store: Store, request: Request, body: bytes) -> Any:  # noqa: ARG001
    asked = read(body)
    return {
        "results": {
            query["refId"]: _result(store, _source(store, query["datasource"]["uid"]), query, asked)
            for query in asked["queries"]
        }
    }


def _result(store: Store, source: Mapping[str, Any], query: Mapping[str, Any], asked: Mapping[str, Any]) -> Any:
    """The answer to one query, as data frames."""
    start, end = int(asked["from"]) / 1000, int(asked["to"]) / 1000
    path, parameters = "query", {"query": query["expr"], "time": end}
    if not query.get("instant"):
        step = query.get("intervalMs", 15000) / 1000
        path, parameters = "query_range", {"query": query["expr"], "start": start, "end": end, "step": step}
    try:
        answer = store.upstream.get(f"{source['url']}/api/v1/{path}", params=parameters).json()
    except httpx.HTTPError as error:
        return {"status": 502, "error": str(error), "errorSource": "downstream"}
    if answer["status"] != "success":
        return {"status": 400, "error": answer["error"], "errorSource": "downstream"}
    return {"status": 200, "frames": [_frame(query["refId"], one) for one in answer["data"]["result"]]}


def _frame(ref: str, series: Mapping[str, Any]) -> dict[str, Any]:
    points = series.get("values") or [series["value"]]
    fields = [
        {"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}, "config": {}},
        {
            "name": "Value",
            "type": "number",
            "typeInfo": {"frame": "float64"},
            "labels": series.get("metric", {}),
            "config": {},
        },
    ]
    values = [[int(float(time) * 1000) for time, _ in points], [float(value) for _, value in points]]
    schema = {"refId": ref, "meta": {"type": "timeseries-multi"}, "fields": fields}
    return {"schema": schema, "data": {"values": values}}


ENDPOINTS = (
    Endpoint("GET", "/api/frontend/settings", _settings),
    Endpoint("GET", "/api/datasources", _all, "datasources:read"),
    Endpoint("GET", "/api/datasources/uid/{uid}", _one, "datasources:read"),
    Endpoint("GET", "/api/datasources/uid/{uid}/health", _health, "datasources:query"),
    Endpoint("GET", "/api/datasources/proxy/uid/{uid}/{path:path}", _proxy, "datasources:query"),
    Endpoint("POST", "/api/datasources/proxy/uid/{uid}/{path:path}", _proxy, "datasources:query"),
    Endpoint("POST", "/api/ds/query", _query, "datasources:query"),
)
