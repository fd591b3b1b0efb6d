"""What clients do with a connection: offer other protocols, close half of it, leave early."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.client import HTTPResponse

import pytest

from tests.service.server import BATCH, SINGLE, Server, connect, heavy, send, series, wait_until

H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
WEBSOCKET = (
    b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
LATER_TLS = b"Connection: upgrade\r\nupgrade: TLS/1.3, HTTP/1.1\r\n"
BODY = json.dumps(series(8, 2)).encode()


def with_length(body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Length: %d\r\n" % len(body), body


def chunked(body: bytes) -> tuple[bytes, bytes]:
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:half], body[half:], b""))
    return b"Transfer-Encoding: chunked\r\n", chunks


def request(offer: bytes, encode: Callable[[bytes], tuple[bytes, bytes]], version: bytes = b"1.1") -> bytes:
    header, body = encode(BODY)
    head = b"POST %b HTTP/%b\r\nHost: kronos\r\nContent-Type: application/json\r\n" % (SINGLE.encode(), version)
    return head + offer + header + b"\r\n" + body


def read(connection: socket.socket) -> tuple[int, bytes]:
    """One answer: status code and body."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def successes(server: Server) -> float:
    return server.value("kronos_requests_total", route=SINGLE, status="success")


def idle(server: Server) -> bool:
    return server.total("kronos_concurrent_requests") == 0


@pytest.mark.parametrize("offer", [b"", H2C, WEBSOCKET, LATER_TLS])
@pytest.mark.parametrize("encode", [with_length, chunked])
@pytest.mark.parametrize("packet", [1 << 20, 7])
def test_what_a_client_offers_costs_it_nothing(
    server: Server, offer: bytes, encode: Callable[[bytes], tuple[bytes, bytes]], packet: int
):
    wait_until(lambda: idle(server))
    before, whole = server.total("kronos_requests_total"), request(offer, encode)
    answered = successes(server)
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):  # the connection goes on
            for start in range(0, len(whole), packet):
                connection.sendall(whole[start : start + packet])
            status, body = read(connection)
            assert (status, len(json.loads(body)["prediction"])) == (200, 2)
    wait_until(lambda: successes(server) == answered + 2)
    assert server.total("kronos_requests_total") == before + 2


def test_requests_that_all_offer_something_can_be_sent_at_once(server: Server):
    with connect(server) as connection:
        connection.sendall(b"".join(request(offer, with_length) for offer in (H2C, WEBSOCKET, b"", H2C)))
        received = b""
        while received.count(b'"request_id"') < 4:
            received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 4


def test_a_proxy_is_not_what_this_is(server: Server):
    with connect(server) as connection:
        connection.sendall(b"CONNECT kronos:443 HTTP/1.1\r\nHost: kronos:443\r\n\r\n")
        assert read(connection)[0] == 400
        assert connection.recv(1) == b""


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_client_that_has_sent_everything_may_close_its_side(server: Server, version: bytes):
    wait_until(lambda: idle(server))
    before = successes(server)
    with connect(server) as connection:
        connection.sendall(request(b"", with_length, version) * 2)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    count = 1 if version == b"1.0" else 2  # HTTP/1.0 closes after each
    assert received.count(b"HTTP/1.1 200 OK\r\n") == received.count(b'"request_id"') == count
    wait_until(lambda: idle(server))
    assert successes(server) == before + count


def test_a_client_that_leaves_after_closing_its_side_is_noticed(server: Server):
    wait_until(lambda: idle(server))
    before = server.samples()
    with connect(server) as connection:
        send(connection, heavy())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b"H"  # of its answer, which begins now
    wait_until(lambda: idle(server))
    after = server.samples()
    changed = {key: after[key] - value for key, value in before.items() if after[key] != value}
    assert changed[("kronos_cancellations_total", frozenset({("cause", "client_disconnect")}))] == 1
    assert changed[("kronos_requests_total", frozenset({("route", SINGLE), ("status", "cancelled")}))] == 1
    assert not any(name.startswith("kronos_response_size") for name, _ in changed)


def test_half_a_request_is_none(server: Server):
    wait_until(lambda: idle(server))
    cancelled = server.value("kronos_requests_total", route=BATCH, status="cancelled")
    with connect(server) as connection:
        send(connection, {}, length=100, path=BATCH)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    wait_until(lambda: server.value("kronos_requests_total", route=BATCH, status="cancelled") == cancelled + 1)


def test_the_answer_to_head_has_no_body_to_count(server: Server):
    size = server.total("kronos_response_size_bytes_sum")
    answer = server.client.head(SINGLE)
    assert (answer.status_code, answer.content) == (405, b"")
    assert server.total("kronos_response_size_bytes_sum") == size
