"""The stand-in for Grafana answers as Grafana's published types say, and our client reads it."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from grafana_foundation_sdk.models import resource

from kronos_mixin.connect import AnswerError
from kronos_mixin.contract import mixin_path
from kronos_mixin.grafana import Grafana as Client
from kronos_mixin.jsonnet import evaluate
from kronos_mixin.verify.api import Api
from proof import grafana_types
from proof.servers import binaries
from proof.servers.grafana import Grafana
from proof.servers.prometheus import Prometheus

BOARDS = evaluate(mixin_path()).dashboards
OVERVIEW = BOARDS["kronos-dashboard.json"]
UID = OVERVIEW["uid"]


@pytest.fixture(scope="module")
def prometheus():
    with Prometheus(binaries.newest(), {}) as running:
        yield running


KINDS = {
    "11": {"version": "11.6.0", "apis": ()},
    "12": {"version": "12.1.0"},
    "without the older": {"version": "13.2.0", "apis": ("v0alpha1", "v1beta1", "v1", "v2"), "api": False},
}


@pytest.fixture(params=KINDS)
def grafana(request, prometheus):
    with Grafana(**KINDS[request.param]) as running:
        running.add_data_source("prom", "Prometheus", prometheus.url, default=True)
        running.keep(OVERVIEW, "Kronos", file="/dashboards/kronos-dashboard.json", by="provisioning")
        yield running


@pytest.fixture
def connect():
    """Opens clients, and closes them."""
    with contextlib.ExitStack() as opened:
        yield lambda grafana, token=None: opened.enter_context(contextlib.closing(Client(grafana.connection(token))))


def ask(grafana, path):
    headers = {"Authorization": f"Bearer {grafana.token}"}
    return httpx.get(grafana.url + path, headers=headers, trust_env=False).json()


def test_its_answers_are_of_the_published_types(grafana):
    if grafana.api:
        found = ask(grafana, f"/api/dashboards/uid/{UID}")
        assert grafana_types.mismatches(found["meta"], grafana_types.schema.DashboardMeta) == []
        assert grafana_types.problems(found["dashboard"]) == []
    for version in grafana.apis:
        found = ask(grafana, f"/apis/dashboard.grafana.app/{version}/namespaces/default/dashboards/{UID}")
        assert found.pop("status") is not None  # Servers have it, manifests don't.
        assert grafana_types.mismatches(found, resource.Manifest) == []
        assert grafana_types.mismatches(found["metadata"], resource.Metadata) == []
        assert grafana_types.problems(found["spec"]) == []


def test_a_dashboard(grafana, connect):
    client = connect(grafana)
    assert client.version == grafana.version
    client.log_in()
    found = client.dashboard(UID)
    assert found.spec["panels"] == OVERVIEW["panels"]
    assert (found.uid, found.folder, found.provisioned, found.version) == (UID, "Kronos", True, 1)
    assert found.file == "/dashboards/kronos-dashboard.json"
    assert found.updated_by.endswith("provisioning")
    assert client.dashboard("nothing") is None


def test_a_search(grafana, connect):
    client = connect(grafana)
    assert [hit.title for hit in client.search(tags=["kronos"])] == [OVERVIEW["title"]]
    assert [hit.folder for hit in client.search(OVERVIEW["title"])] == ["Kronos"]
    assert client.search("something else") == []
    assert client.search(tags=["another"]) == []
    assert list(client.folders().values()) == ["Kronos"]


@pytest.mark.parametrize("kind", ["12", "without the older"])
def test_a_dashboard_that_was_saved_in_the_newer_schema(kind, connect):
    with Grafana(**KINDS[kind]) as grafana:
        grafana.keep(OVERVIEW, schema="v2beta1")
        found = connect(grafana).dashboard(UID)
    assert found.newer_schema
    assert found.spec["title"] == OVERVIEW["title"]


@pytest.mark.parametrize("role", ["admin", "viewer"])
def test_data_sources(grafana, prometheus, role, connect):
    client = connect(grafana, f"glsa_{role}")
    grafana.add_data_source("another", "another", "http://127.0.0.1:9", kind="loki")
    found = client.data_sources()
    assert [(one.uid, one.name, one.type, one.is_default) for one in found] == [
        ("another", "another", "loki", False),
        ("prom", "Prometheus", "prometheus", True),
    ]
    assert [one.url for one in found] == (["http://127.0.0.1:9", prometheus.url] if role == "admin" else ["", ""])
    assert client.unhealthy("prom") == ""
    assert "refused" in client.unhealthy("another")
    with contextlib.closing(Api(client.behind("prom"))) as api:
        (sample,) = api.query("1 + 1")
    assert sample.value == 2


def test_a_query(grafana):
    asked = {"refId": "A", "datasource": {"uid": "prom"}, "expr": "vector(3)", "instant": True}
    body = {"queries": [asked, {**asked, "refId": "B", "expr": "vector("}], "from": "0", "to": "60000"}
    headers = {"Authorization": f"Bearer {grafana.token}"}
    answer = httpx.post(f"{grafana.url}/api/ds/query", json=body, headers=headers, trust_env=False).json()["results"]
    assert answer["A"]["frames"][0]["data"]["values"] == [[60000], [3]]
    assert "parse error" in answer["B"]["error"]


@pytest.mark.parametrize(("token", "status"), [("wrong", 401), ("glsa_none", 403)])
def test_credentials(grafana, token, status, connect):
    client = connect(grafana, token)
    with pytest.raises(AnswerError) as refused:
        client.dashboard(UID)
    assert refused.value.forbidden
    assert refused.value.status == status
    assert status == 401 or client.search() == []


def test_what_one_api_writes_the_other_reads():
    """As in Grafana 12, where both are doors to the same dashboards."""
    with Grafana(**KINDS["12"]) as grafana, httpx.Client(base_url=grafana.url, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {grafana.token}"
        saved = {"dashboard": {**OVERVIEW, "id": None, "version": 7}, "message": "first", "overwrite": False}
        assert client.post("/api/dashboards/db", json=saved).json()["version"] == 1
        path = f"/apis/dashboard.grafana.app/v1beta1/namespaces/default/dashboards/{UID}"
        found = client.get(path).json()
        assert found["metadata"]["annotations"]["grafana.app/message"] == "first"
        assert grafana_types.mismatches(found["metadata"], resource.Metadata) == []

        assert client.post("/api/dashboards/db", json=saved).status_code == 412
        found["metadata"]["annotations"]["grafana.app/message"] = "second"
        assert client.put(path, json=found).json()["metadata"]["generation"] == 2
        assert client.put(path, json=found).json()["reason"] == "Conflict"
        (latest,) = client.get(f"/api/dashboards/uid/{UID}/versions").json()["versions"]
        assert (latest["version"], latest["message"]) == (2, "second")
        assert client.delete(f"/api/dashboards/uid/{UID}").is_success
        assert client.get(path).status_code == 404
