from __future__ import annotations

import contextlib
import json
import socket
import struct

import httpx
import pytest

from kronos_mixin.connect import Connection
from kronos_mixin.grafana import Grafana as Client
from kronos_mixin.serve.live import Live
from kronos_mixin.serve.page import PageServer
from proof.servers import binaries
from proof.servers.grafana import Grafana
from proof.servers.process import free_port
from proof.servers.prometheus import Prometheus


@pytest.fixture(scope="module")
def guarded():
    """A connection to a real Prometheus, through something that wants a token."""
    with Prometheus(binaries.newest(), {}) as prometheus, Grafana() as grafana:
        grafana.add_data_source("prom", "Prometheus", prometheus.url)
        with contextlib.closing(Client(grafana.connection())) as client:
            yield client.behind("prom")


@pytest.fixture
def live():
    live = Live()
    live.show({"b.json": {"title": "B"}, "a.json": {"title": "A", "uid": "first"}})
    return live


@pytest.fixture
def serve(tmp_path, live):
    """Serves a folder that stands for the built page; returns a client."""
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "img").mkdir()
    (tmp_path / "img/icon.svg").write_text("<svg/>")
    with contextlib.ExitStack() as opened:

        def serve(connection, **options):
            server = opened.enter_context(PageServer(tmp_path, live, connection, 30, **options))
            return opened.enter_context(httpx.Client(base_url=server.url, trust_env=False, timeout=60))

        yield serve


def test_the_page_and_its_documents(serve, guarded):
    page = serve(guarded)
    for path in ("/", "/d/first", "/d/first/title?from=now-1h"):
        assert page.get(path).text == "the page"
    assert page.get("/build/img/icon.svg").text == "<svg/>"
    assert page.get("/settings.json").json() == {"prometheus": "/prometheus", "scrapeInterval": 30, "follow": True}
    loaded = page.get("/dashboards.json").json()
    assert loaded["revision"] == 1
    assert [(one["uid"], one["title"]) for one in loaded["dashboards"]] == [("first", "A"), ("b", "B")]
    assert page.get("/nothing").status_code == 404


def test_queries_go_through_with_the_credentials_that_the_page_never_sees(serve, guarded):
    page = serve(guarded)
    for answer in (
        page.get("/prometheus/api/v1/query", params={"query": "vector(1) + 2"}),
        page.post("/prometheus/api/v1/query", data={"query": "vector(1) + 2"}),
    ):
        assert answer.json()["data"]["result"][0]["value"][1] == "3"
    refused = page.post("/prometheus/api/v1/query", data={"query": "sum("})
    assert (refused.status_code, refused.json()["status"]) == (400, "error")
    assert "parse error" in refused.json()["error"]
    assert page.get("/prometheus/api/v1/label/job/values").json()["status"] == "success"
    secret = guarded.authorization["credentials"]
    for path in ("/", "/settings.json", "/dashboards.json"):
        assert secret not in page.get(path).text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/prometheus/api/v1/status/config"),
        ("GET", "/prometheus/api/v1/targets"),
        ("POST", "/prometheus/api/v1/admin/tsdb/delete_series"),
        ("POST", "/prometheus/-/reload"),
        ("POST", "/prometheus/-/quit"),
        ("GET", "/prometheus/api/v1/label/a/../../status/config"),
        ("POST", "/api/v1/../v1/admin/tsdb/snapshot"),
        ("GET", "/prometheus/api/v1/query/../status/config"),
        ("GET", "/prometheus/api/v1/label/..%2f..%2fstatus/values"),
    ],
)
def test_nothing_but_queries_goes_through(serve, guarded, method, path):
    page = serve(guarded)
    # As it stands: the client would tidy it up.
    request = page.build_request(method, "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = page.send(request)
    assert answer.status_code in {404, 400}
    assert answer.json()["status"] == "error"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost"}, 200),
    ],
)
def test_other_sites_in_the_same_browser_cannot_ask(serve, guarded, headers, status):
    page = serve(guarded)
    given = {"query": "1"}
    assert page.post("/prometheus/api/v1/query", data=given, headers=headers).status_code == status
    assert page.get("/prometheus/api/v1/query", params=given, headers=headers).status_code == status
    assert page.get("/dashboards.json", headers=headers).status_code == status


def test_a_prometheus_that_does_not_answer(serve):
    nobody = f"http://127.0.0.1:{free_port()}"
    answer = serve(Connection(nobody)).post("/prometheus/api/v1/query", data={"query": "1"})
    assert answer.status_code == 502
    assert answer.json()["status"] == "error"
    assert "can't be reached" in answer.json()["error"]


def test_something_that_is_no_prometheus(serve, guarded):
    elsewhere = Connection(guarded.url.replace("/api/datasources", "/nothing"))
    answer = serve(elsewhere).post("/prometheus/api/v1/query", data={"query": "1"})
    assert answer.status_code == 502
    assert "HTTP 404" in answer.json()["error"]


def test_news(serve, live):
    page = serve(Connection("http://127.0.0.1:9"))
    with page.stream("GET", "/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        news = (json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line.startswith("data: "))
        assert next(news) == {"revision": 1, "error": ""}
        live.fail("m.jsonnet:1: oops")
        assert next(news) == {"revision": 2, "error": "m.jsonnet:1: oops"}
        assert len(page.get("/dashboards.json").json()["dashboards"]) == 2
        live.show({"c.json": {"title": "C"}})
        assert next(news) == {"revision": 3, "error": ""}
        assert [one["uid"] for one in page.get("/dashboards.json").json()["dashboards"]] == ["c"]


def test_a_page_that_is_left_is_no_error(serve, live, guarded, capfd):
    page = serve(guarded)
    live.show({"a.json": {"title": "A", "description": "x" * 10_000_000}})
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", page.base_url.port)) as left:
            # Without a word to the server, in the middle of an answer.
            left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            left.sendall(b"GET /dashboards.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert page.get("/dashboards.json").is_success
    assert "Traceback" not in capfd.readouterr().err


def test_a_page_that_follows_nothing(serve, guarded):
    assert serve(guarded, follow=False).get("/settings.json").json()["follow"] is False


def test_a_port_that_is_taken(serve, guarded):
    port = serve(guarded).base_url.port
    with pytest.raises(OSError, match="in use"):
        serve(guarded, port=port)
