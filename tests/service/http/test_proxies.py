"""Behind proxies: whom they forward for, under which path, for how long, and for whose web pages."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from kronos_service.http.access import client_address
from kronos_service.keys import parse_networks
from tests.service.server import SINGLE, Server, connect, series, wait_until
from tests.service.test_settings import FOREIGN

PAGE = "https://desk.example.com"
TRUSTED = "127.0.0.0/8,10.0.0.0/8,fd00::/8"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service behind a proxy, with variables in its environment that other services want."""
    settings = {
        "trusted_proxies": TRUSTED,
        "allowed_networks": "192.0.2.0/24",
        "rate_limit": "2/hour",
        "root_path": "/kronos",
        "cors_origins": PAGE,
        "keep_alive_seconds": 0.3,
        "metrics_port": 0,
        "log_rejections": 1000,
    }
    with Server(tmp_path_factory.mktemp("behind"), variables=FOREIGN, **settings) as running:
        running.client.headers["Connection"] = "close"  # in time, because the service closes them early
        yield running


def scrape(server: Server, prefix: str) -> dict[str, float]:
    """Series with their values, from the port of the metrics, which is direct."""
    start = server.logged("starting")[0]
    text = httpx.get(f"http://{start['metrics_host']}:{start['metrics_port']}/v1/metrics").text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(prefix) and line[0] != "#"]
    return {series.removeprefix(prefix): float(value) for series, value in lines}


def ask(server: Server, forwarded: str, path: str = SINGLE, **headers: str) -> httpx.Response:
    return server.post(path, series(3, 1), **headers, **{"X-Forwarded-For": forwarded})


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["6.6.6.6", "192.0.2.1, 10.1.2.3"], "192.0.2.1"),
        ("127.0.0.1", ["10.1.2.3, 10.1.2.4"], "10.1.2.3"),
        ("127.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("fd00::1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["192.0.2.1, evil\n, 10.0.0.9"], "10.0.0.9"),
        ("192.0.2.9", ["192.0.2.1"], "192.0.2.9"),
    ],
)
def test_only_what_trusted_proxies_have_added_counts(peer: str, forwarded: list[str], address: str):
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"type": "http", "client": (peer, 1), "headers": headers}
    assert client_address(scope, parse_networks(TRUSTED)) == address
    assert client_address(scope) == peer.removeprefix("::ffff:")


def test_limits_networks_and_logs_go_by_the_caller_and_not_by_the_proxy(behind: Server):
    codes = [ask(behind, "192.0.2.1").status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    assert ask(behind, "192.0.2.2").status_code == 200
    refused = ask(behind, "192.0.2.1, 198.51.100.7", **{"X-Request-ID": "elsewhere"})
    assert refused.status_code == 403
    assert "198.51.100.7" in refused.json()["detail"]
    wait_until(lambda: any(line["request_id"] == "elsewhere" for line in behind.logged("request")))
    assert {line["client_address"] for line in behind.logged("request")} == {
        "192.0.2.1",
        "192.0.2.2",
        "198.51.100.7",
    }


@pytest.mark.parametrize("prefix", ["", "/kronos"])
def test_the_path_of_the_proxy_may_be_removed_by_it_or_not(behind: Server, prefix: str):
    before = scrape(behind, "kronos_requests_total")
    assert ask(behind, f"192.0.2.{100 + len(prefix)}", prefix + SINGLE).status_code == 200
    counted = scrape(behind, "kronos_requests_total")
    assert {key for key in counted if counted[key] != before[key]} == {f'{{route="{SINGLE}",status="success"}}'}
    for path in ("/v1/healthz", "/v1/readyz", "/v1/info", "/docs", "/openapi.json"):
        assert behind.client.get(prefix + path).status_code == 200
    assert behind.client.get(prefix + "/openapi.json").json()["servers"] == [{"url": "/kronos"}]
    page = behind.client.get(prefix + "/docs").text
    assert "'/kronos/openapi.json'" in page
    assert '"/kronos/docs/swagger-ui-bundle.js"' in page
    assert behind.client.get(prefix + "/docs/swagger-ui-bundle.js").status_code == 200
    assert behind.client.get("/kronosv1/healthz").status_code == 404


def test_a_connection_is_kept_for_as_long_as_it_is_set_to(behind: Server):
    with connect(behind) as connection:
        connection.sendall(b"GET /v1/healthz HTTP/1.1\r\nHost: kronos\r\n\r\n")
        answer = b""
        while piece := connection.recv(1000):  # up to the end, which by default takes longer than a test may
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" not in answer


def test_the_default_outlasts_proxies(server: Server):
    assert server.logged("starting")[0]["settings"]["keep_alive_seconds"] > 600  # load balancers of large clouds


def preflight(server: Server, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    return server.client.options(SINGLE, headers=headers)


def test_pages_of_the_origins_that_are_set_may_call(behind: Server):
    before = scrape(behind, "kronos_requests_total")
    assert preflight(behind, PAGE).status_code == 200
    assert preflight(behind, PAGE).headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in preflight(behind, "https://evil.example.com").headers
    assert scrape(behind, "kronos_requests_total") == before, "asking is no request"
    # The page can also read why it was refused.
    refused = ask(behind, "198.51.100.7", Origin=PAGE)
    assert refused.status_code == 403
    assert refused.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in refused.headers["access-control-expose-headers"].lower()


def test_no_page_may_call_by_default(server: Server):
    assert preflight(server, PAGE).status_code == 405
    answer = server.post(SINGLE, series(3, 1), Origin=PAGE)
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_environment_of_libraries_does_not_change_the_metrics(behind: Server, server: Server):
    warned = {line["warning"].split()[0] for line in behind.logged("settings")}
    assert warned == FOREIGN.keys()
    assert {name for name, _ in server.samples()} <= {key.partition("{")[0] for key in scrape(behind, "")}
