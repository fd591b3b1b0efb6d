"""Who may call: keys of a setting or a file, networks, and the scrape's own address and token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.datastructures import Headers

from kronos_mixin.contract import load_contract
from kronos_service.api.errors import Problem
from kronos_service.app import create_app
from kronos_service.http.access import Access, KeyFile, caller_of, client_address
from kronos_service.keys import parse_networks, read_key_file
from kronos_service.settings import Settings
from kronos_service.telemetry.metrics import Metrics
from tests.service.server import HANGING_SECONDS, SINGLE, Server, connect, send_head, series, wait_until

OLD, NEW = "alice-0123456789abcdef", "alice-fedcba9876543210"
TOKEN = "scrape-0123456789abcdef"
REQUEST = series(3, 1)


@pytest.fixture(scope="module")
def filed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with its keys in a file, and the scrape on a port of its own, behind a token."""
    folder = tmp_path_factory.mktemp("filed")
    (folder / "keys").write_text(f"# who may call\n\nalice:{OLD}\n")
    settings = {"metrics_host": "127.0.0.3", "metrics_port": 0, "metrics_token": TOKEN}
    with Server(folder, api_keys_file="keys", rate_limit="1000/minute", log_rejections=1000, **settings) as running:
        yield running


def scrape_url(server: Server) -> str:
    start = server.logged("starting")[0]
    return f"http://{start['metrics_host']}:{start['metrics_port']}/v1/metrics"


def scrape(server: Server, token: str = TOKEN) -> httpx.Response:
    return httpx.get(scrape_url(server), headers={"Authorization": f"Bearer {token}"})


def code(server: Server, key: str) -> int:
    return server.post(SINGLE, REQUEST, **{"X-API-Key": key}).status_code


def replace(server: Server, content: bytes) -> None:
    """As Kubernetes does it: the new file takes the place of the old one at once."""
    (server.folder / "new").write_bytes(content)
    (server.folder / "new").replace(server.folder / "keys")


def test_keys_are_rotated_without_a_restart_and_a_broken_file_keeps_the_old_ones(filed: Server):
    assert (code(filed, OLD), code(filed, NEW)) == (200, 401)
    replace(filed, f"alice:{NEW}\nbob:bob-0123456789abcdef\n".encode())
    wait_until(lambda: code(filed, NEW) == 200)
    assert code(filed, OLD) == 401
    assert filed.logged("API keys read")[0]["names"] == ["alice", "bob"]
    assert 'kronos_rate_limited_total{client="bob"} 0.0' in scrape(filed).text

    replace(filed, b"alice\n")
    wait_until(lambda: bool(filed.logged("API keys not read, those before stay valid")))
    assert (code(filed, NEW), code(filed, OLD)) == (200, 401)
    for key in (OLD, NEW):
        assert key not in filed.log_file.read_text()
    replace(filed, f"alice:{OLD}\n".encode())
    wait_until(lambda: code(filed, OLD) == 200)


def test_a_broken_file_changes_nothing_and_a_good_one_everything(tmp_path: Path):
    file, used = tmp_path / "keys", []
    file.write_text(f"alice:{OLD}\n")
    watched = KeyFile(file, used.append)
    watched.read()
    for broken in (b"alice\n", b"", b"\xff\xfe"):
        file.write_bytes(broken)
        watched.read()
    file.unlink()
    watched.read()
    assert used == [{"alice": OLD}]
    for _ in range(2):
        file.write_text(f"bob:{NEW}\n")
        watched.read()
    assert used[1:] == [{"bob": NEW}]


def test_names_that_come_and_go_do_not_add_up():
    metrics = Metrics(CollectorRegistry(), load_contract())
    for round_ in range(3):
        metrics.add_clients(f"client{round_}-{number}" for number in range(16))
    limited = metrics.registry.get_sample_value
    clients = [f"client{round_}-{number}" for round_ in range(3) for number in range(16)]
    counted = [name for name in clients if limited("kronos_rate_limited_total", {"client": name}) is not None]
    assert counted == clients[:16]
    assert all(limited("kronos_rate_limited_total", {"client": name}) == 0 for name in ("anonymous", "other"))


def test_the_scrape_is_on_its_own_address_behind_its_token(filed: Server):
    assert scrape_url(filed).startswith("http://127.0.0.3:")
    assert "kronos_build_info" in scrape(filed).text
    assert httpx.head(scrape_url(filed), headers=scrape(filed).request.headers).status_code == 200
    for token in ("x", "wrong", "scrape-0123456789abcdefg", OLD):
        refused = scrape(filed, token)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["type"] == "urn:kronos:problem:unauthorized"
    assert filed.client.get("/v1/metrics").status_code == 404
    elsewhere = httpx.get(scrape_url(filed).replace("metrics", "info"))
    assert elsewhere.json()["type"] == "urn:kronos:problem:not-found"
    assert httpx.post(scrape_url(filed)).status_code == 405
    assert [line["code"] for line in filed.logged("request") if line["route"] == "/v1/metrics"] == [401] * 4
    assert TOKEN not in filed.log_file.read_text()


def in_process(settings: Settings, *requests: tuple[str, str, dict[str, str]]) -> list[int]:
    """The status codes of an application without a model to ``requests``: method, path, headers."""

    async def send() -> list[int]:
        transport = httpx.ASGITransport(create_app(settings), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://kronos") as client:
            answers = [await client.request(method, path, headers=headers) for method, path, headers in requests]
        return [answer.status_code for answer in answers]

    return asyncio.run(send())


def test_a_token_guards_the_scrape_on_the_main_address_too():
    def scraping(**headers: str) -> tuple[str, str, dict[str, str]]:
        return "GET", "/v1/metrics", headers

    codes = in_process(
        Settings(metrics_token="t0ken"),
        scraping(),
        scraping(authorization="Bearer t0ken"),
        scraping(authorization="Basic t0ken"),
        ("GET", "/v1/healthz", {}),
    )
    assert codes == [401, 200, 401, 200]


def test_keys_cannot_be_guessed_faster_than_requests_may_be_sent():
    def asking(key: str) -> tuple[str, str, dict[str, str]]:
        return "POST", SINGLE, {"X-API-Key": key, "Content-Type": "application/json"}

    codes = in_process(
        Settings(api_keys=f"alice:{OLD}", rate_limit="5/minute"),
        *(asking(f"guess{number}") for number in range(8)),
        asking(OLD),
    )
    # Who has a key is not held up by those who guess: 503, because there is no model.
    assert codes == [401] * 5 + [429] * 3 + [503]


@pytest.fixture(scope="module")
def networked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service for two addresses only, with little room for bodies."""
    bodies = {"max_body_bytes": 40_000, "max_bytes_in_flight": 60_000, "body_timeout_seconds": HANGING_SECONDS}
    folder = tmp_path_factory.mktemp("networked")
    with Server(folder, allowed_networks="127.0.0.0/31,fd00::/8", **bodies) as running:
        yield running


def test_a_network_that_is_not_allowed_gets_403_whatever_its_headers_say(networked: Server):
    claims = {"X-Forwarded-For": "127.0.0.9", "X-Real-IP": "127.0.0.9", "Forwarded": "for=127.0.0.9"}
    assert networked.post(SINGLE, REQUEST, **claims).status_code == 200
    transport = httpx.HTTPTransport(local_address="127.0.0.9")
    with httpx.Client(transport=transport, base_url=networked.url) as outside:
        claims = {name: value.replace(".9", ".1") for name, value in claims.items()}
        refused = outside.post(SINGLE, json=REQUEST, headers=claims)
        assert outside.get("/v1/healthz").status_code == 200
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:kronos:problem:forbidden"
    assert "127.0.0.9" in refused.json()["detail"]
    assert networked.value("kronos_requests_total", route=SINGLE, status="unauthorized") == 1
    assert networked.value("kronos_rejections_total", reason="unauthorized") == 1
    (line,) = [line for line in networked.logged("request") if line["code"] == 403]
    assert line["client_address"] == "127.0.0.9"


def access(**settings: str) -> Access:
    return Access(Settings(**settings))


@pytest.mark.parametrize(
    ("address", "headers", "name"),
    [
        ("10.1.2.3", {}, "anonymous"),
        ("10.1.2.3", {"x-api-key": OLD}, "alice"),
        ("10.1.2.3", {"x-api-key": "outdated"}, None),
        ("192.0.2.1", {"authorization": f"bearer {OLD}"}, "alice"),
        ("192.0.2.1", {"x-api-key": OLD}, "alice"),
        ("192.0.2.1", {}, None),
        ("unknown", {}, None),
        ("fd00::1", {}, "anonymous"),
    ],
)
def test_a_key_or_a_network_lets_in(address: str, headers: dict[str, str], name: str | None):
    guard = access(api_keys=f"alice:{OLD}", allowed_networks="10.0.0.0/8, fd00::/8")
    if name is None:
        with pytest.raises(Problem) as refused:
            guard.client(Headers(headers), address)
        assert refused.value.status == 401
    else:
        assert guard.client(Headers(headers), address) == name


def test_callers_of_ipv4_on_a_socket_of_ipv6_are_callers_of_ipv4():
    assert client_address({"client": ("::ffff:10.1.2.3", 1)}) == "10.1.2.3"
    assert client_address({"client": None}) == "unknown"
    assert client_address({"client": ("a socket", 0)}) == "a socket"
    assert caller_of("10.1.2.3") == "10.1.2.3"
    assert caller_of("2001:db8::1:2") == caller_of("2001:db8::3") == "2001:db8::/64"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# nobody\n", "no name:key line"),
        (b"alice:x\nbob\n", "line 2 is not name:key"),
        (b"alice:x\n\nalice:y\n", "line 3: the name alice appears twice"),
        (b"alice:" + b"x" * 70_000, "more than 65536 bytes"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_a_file_of_keys_that_is_wrong_says_where(tmp_path: Path, content: bytes, reason: str):
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ValueError, match=reason) as refused:
        read_key_file(tmp_path / "keys")
    assert ":x" not in str(refused.value)
    with pytest.raises(ValueError, match="No such file"):
        read_key_file(tmp_path / "missing")


def test_networks_that_are_none_are_refused():
    for text in ("10.0.0.1/8", "10.0.0.0/33", "everybody", ""):
        with pytest.raises(ValueError, match=r"entry 1: .*write <address>/<bits>"):
            parse_networks(text)


def test_bodies_in_flight_are_bounded_together(networked: Server):
    body = json.dumps(REQUEST).encode()

    def second() -> httpx.Response:
        content = b" " * 30_000 + body
        return networked.client.post(SINGLE, content=content, headers={"Content-Type": "application/json"})

    with connect(networked) as first:
        send_head(first, SINGLE, 39_000 + len(body))
        wait_until(lambda: networked.value("kronos_concurrent_requests", route=SINGLE) == 1)
        first.sendall(b" " * 39_000)
        refused = second()
        assert refused.json()["type"] == "urn:kronos:problem:overloaded"
        assert int(refused.headers["retry-after"]) >= 1
        assert networked.post(SINGLE, REQUEST).status_code == 200, "a small one still finds room"
        first.sendall(body)
        assert first.recv(20).startswith(b"HTTP/1.1 200")
    assert second().status_code == 200, "what is done is not in flight any more"
